"""One request and its answer: the exchange, its upload and its delivery."""
