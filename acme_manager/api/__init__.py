"""The HTTP surface: routes of a few lines, authentication, problem documents, OpenAPI."""
