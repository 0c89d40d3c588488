"""The demo: made-up scenes that arrive one by one."""
