"""Use cases: the verbs that the API, the UI and the workers share."""
