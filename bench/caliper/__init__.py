"""Hyperledger Caliper's Ethereum connector, unmodified, against our node over WebSocket."""
