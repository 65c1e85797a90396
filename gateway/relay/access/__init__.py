"""Who may do what: the decision over a request, and what is sent on."""
