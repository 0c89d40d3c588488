"""An archive made by many jobs, each in a function of AWS: equal to that of one process."""
