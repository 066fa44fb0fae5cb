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
    Column("address", LargeBinary(20), primary_key=True),
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

    def add(self, credential: Credential) -> None:
        """Raises EnrolmentError `enrolment.key_known` for a key that stands in the directory already."""
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    insert(_CREDENTIALS).values(
                        address=credential.address,
                        scheme=credential.scheme,
                        public_key=credential.public_key,
                        credential_id=credential.credential_id,
                        kind=credential.kind,
                        identity=credential.identity,
                        added_at=credential.added_at,
                    )
                )
        except IntegrityError:
            raise EnrolmentError(
                "enrolment.key_known", "this key is enrolled already", got=credential.address
            ) from None

    def find(self, address: bytes) -> Credential | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(_CREDENTIALS).where(_CREDENTIALS.c.address == address)).first()
        return None if row is None else _credential(row)

    def of_identity(self, identity: bytes) -> tuple[Credential, ...]:
        """The credentials of an identity: passkeys first, the newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(_CREDENTIALS)
                .where(_CREDENTIALS.c.identity == identity)
                .order_by(_CREDENTIALS.c.kind, _CREDENTIALS.c.added_at.desc(), _CREDENTIALS.c.address)
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
