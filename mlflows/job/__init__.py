"""What runs beside the user's script. Standard library only, Python 3.6 syntax; imports no other room."""
