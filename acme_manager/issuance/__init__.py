"""RFC 8555, RFC 8738 and RFC 9773 on top of the message objects of the acme and josepy libraries."""
