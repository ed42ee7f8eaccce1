"""What travels between the floors: frozen dataclasses, standard library only."""
