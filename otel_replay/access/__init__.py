"""Who may do what: keys, scopes, shared links, and the decision about every request. Pure: no sockets, no file."""
