"""How an overview cell is made."""
