"""The shapes of answers and query strings, for the OpenAPI document. Bodies of requests are in domain/request.py."""
