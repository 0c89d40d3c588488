"""How to get in where objects are: ways in, logins and signed URLs."""
