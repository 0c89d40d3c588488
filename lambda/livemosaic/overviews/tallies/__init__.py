"""How many scenes lie where, kept up to date beside overview cells."""
