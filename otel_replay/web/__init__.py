"""Out: the JSON interface, the page, and the query RPCs."""
