"""The people, services and agencies of a demo consortium, their keys, and how they are enrolled.

For chains with `purpose: demo` only. Every key stands in a key file under a passphrase that everybody knows;
the names are made up and say so. `create_cast` makes all of it before genesis, the genesis builder takes the
registrars and the encryption keys from it, `enrol` has the registrars sign for everybody else once the chain
runs.
"""
