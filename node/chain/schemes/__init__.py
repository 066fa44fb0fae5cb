"""The ways to sign an IMI transaction: one module a family, one entry of the registry a scheme.

Each module ends in its entry, a `Scheme`: number, length of the key, a pure parser of the signature's form,
and a verifier. `node.chain.signing` collects them. A public key and a signature have one form each, never
DER. Everything here raises SignatureRefused and nothing else, whatever bytes it is given.
"""
