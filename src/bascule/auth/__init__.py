"""Who is calling: from a request's head to a Principal."""
