// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";
import {ICountersigned} from "../access/ICountersigned.sol";

/// @title IdentityRegistry: identities, their credentials, roles and deputies
/// @notice An identity has a random id and lives in one domain: 1 staff, 2 sharing, 3 service. A public key is registered
/// once, in one domain. Public keys stand in events only, so a reader can rebuild (account, scheme, public key).
interface IIdentityRegistry is IAccess, ICountersigned {
    event IdentityEnrolled(
        bytes16 indexed identity, uint16 indexed organisation, uint8 indexed domain, uint8 level, uint32 roles, bytes16 by
    );
    event RolesChanged(bytes16 indexed identity, uint16 indexed organisation, uint32 previousRoles, uint32 roles, bytes16 by);
    event LevelChanged(bytes16 indexed identity, uint8 previousLevel, uint8 level, bytes16 by);
    event CredentialAdded(
        bytes16 indexed identity,
        address indexed account,
        bytes32 indexed relyingParty,
        uint8 scheme,
        uint48 validFrom,
        uint48 validUntil,
        bytes publicKey,
        bytes16 by
    );
    event CredentialRevoked(bytes16 indexed identity, address indexed account, bytes16 by);
    event IdentitySuspended(bytes16 indexed identity, uint16 indexed organisation, bytes16 by);
    event IdentityResumed(bytes16 indexed identity, uint16 indexed organisation, bytes16 by);
    event IdentityRevoked(bytes16 indexed identity, uint16 indexed organisation, bytes16 by);
    event DeputySet(
        bytes16 indexed principal, bytes16 indexed deputy, uint16 indexed organisation, uint32 scope, uint48 until, bytes16 by
    );
    event OrganisationStandingSet(uint16 indexed organisation, bool active);

    error IdentityInvalid(bytes16 identity);
    error IdentityExists(bytes16 identity);
    error IdentityUnknown(bytes16 identity);
    /// @notice status: 1 active, 2 suspended, 3 revoked.
    error IdentityStatus(bytes16 identity, uint8 got, uint8 expected);
    error LevelInvalid(uint8 got, uint8 domain);
    /// @notice The roles are not all possible in the domain and for the kind of the organisation.
    error RolesNotAllowed(uint32 got, uint32 allowed);
    error SchemeInvalid(uint8 got);
    error PublicKeyLength(uint8 scheme, uint256 got, uint256 expected);
    /// @notice The public key is registered already, in the same domain.
    error KeyRegistered(bytes32 keyHash, bytes16 identity);
    /// @notice The public key is registered in another domain.
    error KeyOfAnotherDomain(bytes32 keyHash, uint8 got, uint8 expected);
    error RelyingPartyDomain(bytes32 relyingParty, uint8 got, uint8 expected);
    error ValidityInvalid(uint48 validUntil, uint48 now_);
    error TooManyCredentials(bytes16 identity, uint256 maximum);
    error CredentialUnknown(address account);
    /// @notice status: 1 active, 2 suspended, 3 revoked.
    error CredentialStatus(address account, uint8 got, uint8 expected);
    /// @notice An organisation keeps at least two active registrars.
    error TooFewRegistrars(uint16 organisation, uint256 remaining, uint256 required);
    error DeputyInvalid(bytes16 principal, bytes16 deputy);

    /// @notice Installs a registrar of an organisation: at genesis (SYSTEM) or by a membership vote (Consortium).
    function installRegistrar(
        uint16 organisation, bytes16 identity, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty
    ) external;
    /// @notice Revokes a registrar for ever by a membership vote: one whose keys are in the wrong hands. Two must remain.
    function removeRegistrar(bytes16 identity) external;
    /// @notice Enrols any identity at genesis (SYSTEM only).
    function installIdentity(
        uint16 organisation, bytes16 identity, uint8 domain, uint8 level, uint32 roles, uint8 scheme, bytes calldata publicKey,
        bytes32 relyingParty
    ) external;
    /// @notice Called by the Consortium when an organisation is added, suspended or resumed.
    function setOrganisation(uint16 organisation, uint8 kind, bool active) external;

    /// @notice Enrols an identity of the registrar's organisation with its first credential. Staff (level 4), services (level 0)
    /// and residents of level 3 need two registrars; residents of level 1 and 2 one, of the data bureau.
    /// @param validUntil end of the credential, unix seconds; 0 = no end.
    function enrol(
        bytes16 identity, uint8 domain, uint8 level, uint32 roles, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty,
        uint48 validUntil
    ) external;
    /// @notice Two registrars set the roles of an identity of their organisation.
    function setRoles(bytes16 identity, uint32 roles) external;
    /// @notice Sets a resident's level (1–3); two registrars of the data bureau for level 3.
    function setLevel(bytes16 identity, uint8 level) external;
    /// @notice Adds a credential (a new device), up to 8; as many registrars as the identity's enrolment needed.
    function addCredential(
        bytes16 identity, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty, uint48 validUntil
    ) external;
    /// @notice One registrar revokes a credential (lost or broken device), for ever.
    function revokeCredential(address account) external;
    /// @notice One registrar suspends an identity with all its credentials at once.
    function suspend(bytes16 identity) external;
    /// @notice Two registrars end a suspension.
    function resume(bytes16 identity) external;
    /// @notice Two registrars revoke an identity with all its credentials, for ever.
    function revoke(bytes16 identity) external;
    /// @notice Two registrars let `deputy` act for `principal` in the roles of `scope` until a time; `until` 0 ends it.
    function setDeputy(bytes16 principal, bytes16 deputy, uint32 scope, uint48 until) external;

    /// @notice Who an account is now; 0 where it has no standing. From the low-order end: identity 128 bits, organisation 16,
    /// roles 32, domain 8, level 8, organisation kind 8, status 8 (1).
    function standing(address account) external view returns (uint256 packed);
    /// @notice The standing of a deputy with the roles lent by `principal`; reverts NotDeputy. principal 0 = `standing`.
    function standingFor(address account, bytes16 principal) external view returns (uint256 packed);
    /// @notice The identity's own row, in the layout of `standing`, status 1 active, 2 suspended, 3 revoked; 0 = unknown.
    function identityOf(bytes16 identity) external view returns (uint256 packed);
    function credential(address account)
        external
        view
        returns (
            bytes16 identity, uint8 domain, uint8 scheme, uint8 status, uint8 flags, uint48 validFrom, uint48 validUntil, bytes32 relyingParty
        );
    function credentialsOf(bytes16 identity) external view returns (address[] memory);
    function deputyship(bytes16 principal, bytes16 deputy) external view returns (uint32 scope, uint48 until);
    function registrarCount(uint16 organisation) external view returns (uint256);
    /// @notice The account of a public key: keccak256(scheme || key)[12:]; for scheme 0 Ethereum's keccak256(key)[12:].
    function accountOf(uint8 scheme, bytes calldata publicKey) external pure returns (address);
}
