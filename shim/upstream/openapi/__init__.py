"""HTTP APIs that describe themselves: from an OpenAPI document to tools, and from a call to one request."""
