"""The directory of credentials: which public key, of which kind, belongs to which identity."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from identity.errors import EnrolmentError

PASSKEY, SIGNER = "passkey", "signer"

_METADATA = MetaData()
_CREDENTIALS = Table(
    "credentials",
    _METADATA,
    Column("number", Integer, primary_key=True),
    Column("address", LargeBinary(20), nullable=False, unique=True),
    Column("scheme", Integer, nullable=False),
    Column("public_key", LargeBinary, nullable=False, unique=True),
    Column("credential_id", LargeBinary, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("identity", LargeBinary(16), nullable=False, index=True),
    Column("added_at", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential. `kind` says where its key stands: in a passkey or in a signer."""

    address: bytes
    scheme: int
    public_key: bytes
    credential_id: bytes
    kind: str
    identity: bytes
    added_at: int
    """Seconds since the epoch."""


class Directory:
    """The table in `path`. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}")
        _METADATA.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def add(self, *credentials: Credential) -> None:
        """Add all of them or none.

        Raises EnrolmentError `enrolment.key_known` for a key that stands in the directory already.
        """
        rows = [
            {
                "address": one.address,
                "scheme": one.scheme,
                "public_key": one.public_key,
                "credential_id": one.credential_id,
                "kind": one.kind,
                "identity": one.identity,
                "added_at": one.added_at,
            }
            for one in credentials
        ]
        try:
            with self._engine.begin() as connection:
                if rows:
                    connection.execute(insert(_CREDENTIALS), rows)
        except IntegrityError:
            raise EnrolmentError(
                "enrolment.key_known",
                "this key is enrolled already",
                got=[one.address for one in credentials],
            ) from None

    def find(self, address: bytes) -> Credential | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(_CREDENTIALS).where(_CREDENTIALS.c.address == address)).first()
        return None if row is None else _credential(row)

    def of_identity(self, identity: bytes) -> tuple[Credential, ...]:
        """The credentials of an identity in the order they were enrolled."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(_CREDENTIALS)
                .where(_CREDENTIALS.c.identity == identity)
                .order_by(_CREDENTIALS.c.number)
            ).all()
        return tuple(_credential(row) for row in rows)


def _credential(row: Row[tuple[object, ...]]) -> Credential:
    return Credential(
        address=row.address,
        scheme=row.scheme,
        public_key=row.public_key,
        credential_id=row.credential_id,
        kind=row.kind,
        identity=row.identity,
        added_at=row.added_at,
    )
