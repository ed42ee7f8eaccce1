"""Every outgoing connection of the tool-call path."""
