"""Several worker processes: started, watched, counted together."""
