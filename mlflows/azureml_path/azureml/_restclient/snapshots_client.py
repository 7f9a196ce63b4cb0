"""Scripts assign the constant below to lift a limit of SDK v1. Snapshots have no limit here, so it changes nothing."""

SNAPSHOT_MAX_SIZE_BYTES = 314572800
