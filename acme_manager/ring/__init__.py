"""Membership, gossip, shared state and leadership: what makes several nodes one service."""
