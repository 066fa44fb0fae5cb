// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    AUDIT,
    AUDITOR,
    APPROVER,
    COMMUNITY,
    COMMUNITY_CLERK,
    CONSORTIUM,
    DATA_BUREAU,
    GRID_WORKER,
    HANDLER,
    JUSTICE,
    OPERATOR,
    PROCURATORATE,
    REGISTRAR,
    RESIDENT,
    SEALER,
    SERVICE,
    SERVICES,
    SHARING,
    STAFF,
    SUPERVISOR,
    SYSTEM
} from "../access/Constants.sol";
import {Countersigning} from "../access/Countersigning.sol";
import {Standing} from "../access/Standing.sol";
import {IConsortium} from "../consortium/IConsortium.sol";
import {IIdentityRegistry} from "./IIdentityRegistry.sol";

/// @title IdentityRegistry at its fixed address
/// @dev Identity rows are kept in the layout of `standing`, so the answer is one stored word. Credentials lie where the node's
/// admission reads them: do not move them.
contract IdentityRegistry is Countersigning, IIdentityRegistry {
    using Standing for uint256;

    /// @dev Two slots; the first is full: 16 + 4 * 1 + 2 * 6 bytes.
    struct Credential {
        bytes16 identity;
        uint8 domain;
        uint8 scheme;
        uint8 status;
        uint8 flags;
        uint48 validFrom;
        uint48 validUntil;
        bytes32 relyingParty;
    }

    /// @custom:storage-location erc7201:shelian.identity.credentials
    struct Credentials {
        mapping(address => Credential) byAccount;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("shelian.identity.credentials")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant CREDENTIALS = 0xb16592274d06ea1224362753deb16203b43ee615782447c5434cafacbe9faf00;

    uint8 internal constant ACTIVE = 1;
    uint8 internal constant SUSPENDED = 2;
    uint8 internal constant REVOKED = 3;
    uint8 internal constant STAFF_LEVEL = 4;
    uint8 internal constant COUNTER_LEVEL = 3;
    uint256 internal constant MAXIMUM_CREDENTIALS = 8;
    uint256 internal constant REQUIRED_REGISTRARS = 2;
    uint8 internal constant SECP256K1 = 0;
    uint32 internal constant STAFF_ROLES = HANDLER | APPROVER | SEALER | OPERATOR | REGISTRAR;

    mapping(bytes16 => uint256) private _identities;
    mapping(bytes16 => address[]) private _accounts;
    /// @dev keccak256(public key) => identity 128 bits | domain 8: a key belongs to one identity whatever the scheme.
    mapping(bytes32 => uint256) private _keys;
    /// @dev principal => deputy => scope 32 bits | until 48
    mapping(bytes16 => mapping(bytes16 => uint256)) private _deputies;
    mapping(uint16 => uint256) private _registrars;
    mapping(uint16 => uint8) private _kinds;
    /// @dev Bit n = organisation n is suspended.
    uint256 private _suspended;

    /// @inheritdoc IIdentityRegistry
    function standing(address account) external view returns (uint256) {
        return _standingOf(account);
    }

    /// @inheritdoc IIdentityRegistry
    function standingFor(address account, bytes16 principal) external view returns (uint256) {
        uint256 own = _standingOf(account);
        if (principal == 0 || own == 0) return own;
        uint256 lent = _deputies[principal][own.identity()];
        uint256 row = _identities[principal];
        if (lent >> 32 <= block.timestamp || row.status() != ACTIVE || row.organisation() != own.organisation()) {
            revert NotDeputy(own.identity(), principal);
        }
        return own.withRoles(row.roles() & uint32(lent));
    }

    /// @inheritdoc IIdentityRegistry
    function installRegistrar(
        uint16 organisation, bytes16 identity, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty
    ) external governed {
        _enrol(identity, organisation, STAFF, STAFF_LEVEL, REGISTRAR, 0);
        _addCredential(identity, STAFF, scheme, publicKey, relyingParty, 0, 0);
    }

    /// @inheritdoc IIdentityRegistry
    function removeRegistrar(bytes16 identity) external governed {
        uint256 row = _identities[identity];
        if (row.roles() & REGISTRAR == 0) revert RoleMissing(row.roles(), REGISTRAR);
        if (row.status() == REVOKED) revert IdentityStatus(identity, REVOKED, ACTIVE);
        _setStatus(identity, row, row.status(), REVOKED);
        emit IdentityRevoked(identity, row.organisation(), 0);
    }

    /// @inheritdoc IIdentityRegistry
    function installIdentity(
        uint16 organisation, bytes16 identity, uint8 domain, uint8 level, uint32 roles, uint8 scheme, bytes calldata publicKey,
        bytes32 relyingParty
    ) external {
        if (msg.sender != SYSTEM) revert WrongCaller(msg.sender, SYSTEM);
        _enrol(identity, organisation, domain, level, roles, 0);
        _addCredential(identity, domain, scheme, publicKey, relyingParty, 0, 0);
    }

    /// @inheritdoc IIdentityRegistry
    function setOrganisation(uint16 organisation, uint8 kind, bool active) external {
        if (msg.sender != CONSORTIUM) revert WrongCaller(msg.sender, CONSORTIUM);
        _kinds[organisation] = kind;
        uint256 bit = uint256(1) << organisation;
        _suspended = active ? _suspended & ~bit : _suspended | bit;
        emit OrganisationStandingSet(organisation, active);
    }

    /// @inheritdoc IIdentityRegistry
    function enrol(
        bytes16 identity, uint8 domain, uint8 level, uint32 roles, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty,
        uint48 validUntil
    ) external {
        uint256 word = _registrar();
        if (domain == SHARING) _requireKind(word, uint256(1) << DATA_BUREAU);
        _checkEnrolment(identity, word.organisation(), domain, level, roles);
        _checkKey(domain, scheme, publicKey, relyingParty, validUntil);
        if (_needsTwo(domain, level) && !_countersigned(word)) return;
        _enrol(identity, word.organisation(), domain, level, roles, word.identity());
        _addCredential(identity, domain, scheme, publicKey, relyingParty, validUntil, word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function setRoles(bytes16 identity, uint32 roles) external {
        uint256 word = _registrar();
        uint256 row = _own(word, identity);
        _requireStatus(identity, row, ACTIVE);
        _checkRoles(roles, row.domain(), row.kind());
        if (!_countersigned(word)) return;
        bool before = _isRegistrar(identity);
        _identities[identity] = row.withRoles(roles);
        _recount(identity, row.organisation(), before);
        emit RolesChanged(identity, row.organisation(), row.roles(), roles, word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function setLevel(bytes16 identity, uint8 level) external {
        uint256 word = _registrar();
        uint256 row = _own(word, identity);
        _requireStatus(identity, row, ACTIVE);
        if (row.domain() != SHARING) revert WrongDomain(row.domain(), SHARING);
        _checkLevel(level, SHARING);
        if (_needsTwo(SHARING, level) && !_countersigned(word)) return;
        _identities[identity] = row.withLevel(level);
        emit LevelChanged(identity, row.level(), level, word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function addCredential(bytes16 identity, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty, uint48 validUntil)
        external
    {
        uint256 word = _registrar();
        uint256 row = _own(word, identity);
        _requireStatus(identity, row, ACTIVE);
        _checkKey(row.domain(), scheme, publicKey, relyingParty, validUntil);
        if (_needsTwo(row.domain(), row.level()) && !_countersigned(word)) return;
        bool before = _isRegistrar(identity);
        _addCredential(identity, row.domain(), scheme, publicKey, relyingParty, validUntil, word.identity());
        _recount(identity, row.organisation(), before);
    }

    /// @inheritdoc IIdentityRegistry
    function revokeCredential(address account) external {
        uint256 word = _registrar();
        Credential storage credential_ = _credentials()[account];
        bytes16 identity = credential_.identity;
        if (credential_.status == 0) revert CredentialUnknown(account);
        uint256 row = _own(word, identity);
        if (credential_.status == REVOKED) revert CredentialStatus(account, REVOKED, ACTIVE);
        bool before = _isRegistrar(identity);
        credential_.status = REVOKED;
        _recount(identity, row.organisation(), before);
        emit CredentialRevoked(identity, account, word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function suspend(bytes16 identity) external {
        uint256 word = _registrar();
        uint256 row = _own(word, identity);
        _requireStatus(identity, row, ACTIVE);
        _setStatus(identity, row, ACTIVE, SUSPENDED);
        emit IdentitySuspended(identity, row.organisation(), word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function resume(bytes16 identity) external {
        uint256 word = _registrar();
        uint256 row = _own(word, identity);
        _requireStatus(identity, row, SUSPENDED);
        if (!_countersigned(word)) return;
        _setStatus(identity, row, SUSPENDED, ACTIVE);
        emit IdentityResumed(identity, row.organisation(), word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function revoke(bytes16 identity) external {
        uint256 word = _registrar();
        uint256 row = _own(word, identity);
        if (row.status() == REVOKED) revert IdentityStatus(identity, REVOKED, ACTIVE);
        if (!_countersigned(word)) return;
        _setStatus(identity, row, row.status(), REVOKED);
        emit IdentityRevoked(identity, row.organisation(), word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function setDeputy(bytes16 principal, bytes16 deputy, uint32 scope, uint48 until) external {
        uint256 word = _registrar();
        uint256 row = _own(word, principal);
        uint256 other = _own(word, deputy);
        if (principal == deputy || row.domain() != STAFF || other.domain() != STAFF) revert DeputyInvalid(principal, deputy);
        if (until != 0) {
            if (until <= block.timestamp) revert ValidityInvalid(until, uint48(block.timestamp));
            // A lent REGISTRAR role would let one person be both of two registrars.
            uint32 lendable = row.roles() & ~REGISTRAR;
            if (scope == 0 || scope & ~lendable != 0) revert RolesNotAllowed(scope, lendable);
        }
        if (!_countersigned(word)) return;
        _deputies[principal][deputy] = until == 0 ? 0 : uint256(scope) | uint256(until) << 32;
        emit DeputySet(principal, deputy, word.organisation(), scope, until, word.identity());
    }

    /// @inheritdoc IIdentityRegistry
    function identityOf(bytes16 identity) external view returns (uint256) {
        return _identities[identity];
    }

    /// @inheritdoc IIdentityRegistry
    function credential(address account)
        external
        view
        returns (
            bytes16 identity, uint8 domain, uint8 scheme, uint8 status, uint8 flags, uint48 validFrom, uint48 validUntil,
            bytes32 relyingParty
        )
    {
        Credential storage row = _credentials()[account];
        return (row.identity, row.domain, row.scheme, row.status, row.flags, row.validFrom, row.validUntil, row.relyingParty);
    }

    /// @inheritdoc IIdentityRegistry
    function credentialsOf(bytes16 identity) external view returns (address[] memory) {
        return _accounts[identity];
    }

    /// @inheritdoc IIdentityRegistry
    function deputyship(bytes16 principal, bytes16 deputy) external view returns (uint32 scope, uint48 until) {
        uint256 lent = _deputies[principal][deputy];
        return (uint32(lent), uint48(lent >> 32));
    }

    /// @inheritdoc IIdentityRegistry
    function registrarCount(uint16 organisation) external view returns (uint256) {
        return _registrars[organisation];
    }

    /// @inheritdoc IIdentityRegistry
    function accountOf(uint8 scheme, bytes calldata publicKey) external pure returns (address) {
        return _account(scheme, publicKey);
    }

    function _standingOf(address account) private view returns (uint256 row) {
        mapping(address => Credential) storage credentials = _credentials();
        uint256 packed;
        // One load of the full first slot instead of four masked ones.
        assembly ("memory-safe") {
            mstore(0, account)
            mstore(0x20, credentials.slot)
            packed := sload(keccak256(0, 0x40))
        }
        if (uint8(packed >> 144) != ACTIVE || uint48(packed >> 160) > block.timestamp) return 0;
        uint256 until = packed >> 208;
        if (until != 0 && until <= block.timestamp) return 0;
        row = _identities[bytes16(uint128(packed))];
        if (row.status() != ACTIVE || _suspended >> row.organisation() & 1 != 0) return 0;
    }

    function _ownIdentity() internal view override returns (bytes16) {
        uint256 word = _standingOf(msg.sender);
        if (word == 0) revert NoStanding(msg.sender);
        return word.identity();
    }

    function _registrar() private view returns (uint256 word) {
        word = _standingOf(msg.sender);
        if (word == 0) revert NoStanding(msg.sender);
        _require(word, STAFF, REGISTRAR);
    }

    /// @dev The row of an identity of the registrar's organisation.
    function _own(uint256 word, bytes16 identity) private view returns (uint256 row) {
        row = _identities[identity];
        if (row == 0) revert IdentityUnknown(identity);
        _requireOrganisation(word, row.organisation());
    }

    function _requireStatus(bytes16 identity, uint256 row, uint8 expected) private pure {
        if (row.status() != expected) revert IdentityStatus(identity, row.status(), expected);
    }

    function _needsTwo(uint8 domain, uint8 level) private pure returns (bool) {
        return domain != SHARING || level >= COUNTER_LEVEL;
    }

    function _checkEnrolment(bytes16 identity, uint16 organisation, uint8 domain, uint8 level, uint32 roles) private view {
        if (identity == 0) revert IdentityInvalid(identity);
        if (_identities[identity] != 0) revert IdentityExists(identity);
        if (_kinds[organisation] == 0) revert WrongOrganisation(organisation, 0);
        _checkLevel(level, domain);
        _checkRoles(roles, domain, _kinds[organisation]);
    }

    function _checkLevel(uint8 level, uint8 domain) private pure {
        bool valid = domain == STAFF
            ? level == STAFF_LEVEL
            : domain == SHARING ? level > 0 && level <= COUNTER_LEVEL : domain == SERVICES && level == 0;
        if (!valid) revert LevelInvalid(level, domain);
    }

    function _checkRoles(uint32 roles, uint8 domain, uint8 kind) private pure {
        uint32 allowed = STAFF_ROLES;
        if (domain == SHARING) allowed = RESIDENT;
        else if (domain == SERVICES) allowed = SERVICE;
        else if (kind == PROCURATORATE) allowed |= SUPERVISOR;
        else if (kind == JUSTICE) allowed |= GRID_WORKER;
        else if (kind == COMMUNITY) allowed |= COMMUNITY_CLERK;
        else if (kind == AUDIT) allowed |= AUDITOR;
        // A resident and a service hold their one role from the start; staff may stand without a role for a while.
        if (roles & ~allowed != 0 || (domain != STAFF && roles != allowed)) revert RolesNotAllowed(roles, allowed);
    }

    function _checkKey(uint8 domain, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty, uint48 validUntil) private view {
        uint256 expected = _keyLength(scheme);
        if (publicKey.length != expected) revert PublicKeyLength(scheme, publicKey.length, expected);
        if (validUntil != 0 && validUntil <= block.timestamp) revert ValidityInvalid(validUntil, uint48(block.timestamp));
        bytes32 keyHash = keccak256(publicKey);
        uint256 owner = _keys[keyHash];
        if (owner != 0) {
            if (uint8(owner >> 128) != domain) revert KeyOfAnotherDomain(keyHash, domain, uint8(owner >> 128));
            revert KeyRegistered(keyHash, bytes16(uint128(owner)));
        }
        uint8 partyDomain = IConsortium(CONSORTIUM).relyingParty(relyingParty).domain;
        if (partyDomain != domain) revert RelyingPartyDomain(relyingParty, partyDomain, domain);
    }

    /// @dev SPEC of the schemes: P-256 and SM2 keys are x‖y, as are secp256k1's; Ed25519 32 bytes; ML-DSA-65 1,952.
    function _keyLength(uint8 scheme) private pure returns (uint256) {
        if (scheme == 2) return 32;
        if (scheme == 5) return 1952;
        if (scheme > 5) revert SchemeInvalid(scheme);
        return 64;
    }

    function _enrol(bytes16 identity, uint16 organisation, uint8 domain, uint8 level, uint32 roles, bytes16 by) private {
        _checkEnrolment(identity, organisation, domain, level, roles);
        _identities[identity] = Standing.pack(identity, organisation, roles, domain, level, _kinds[organisation], ACTIVE);
        if (roles & REGISTRAR != 0) ++_registrars[organisation];
        emit IdentityEnrolled(identity, organisation, domain, level, roles, by);
    }

    function _addCredential(
        bytes16 identity, uint8 domain, uint8 scheme, bytes calldata publicKey, bytes32 relyingParty, uint48 validUntil, bytes16 by
    ) private {
        _checkKey(domain, scheme, publicKey, relyingParty, validUntil);
        address[] storage accounts = _accounts[identity];
        if (accounts.length >= MAXIMUM_CREDENTIALS) revert TooManyCredentials(identity, MAXIMUM_CREDENTIALS);
        address account = _account(scheme, publicKey);
        uint48 validFrom = uint48(block.timestamp);
        accounts.push(account);
        _keys[keccak256(publicKey)] = uint256(uint128(identity)) | uint256(domain) << 128;
        _credentials()[account] = Credential(identity, domain, scheme, ACTIVE, 0, validFrom, validUntil, relyingParty);
        emit CredentialAdded(identity, account, relyingParty, scheme, validFrom, validUntil, publicKey, by);
    }

    function _account(uint8 scheme, bytes calldata publicKey) private pure returns (address) {
        bytes32 digest = scheme == SECP256K1 ? keccak256(publicKey) : keccak256(abi.encodePacked(scheme, publicKey));
        return address(uint160(uint256(digest)));
    }

    /// @dev An identity's status and that of its credentials move together, because admission reads credentials only.
    function _setStatus(bytes16 identity, uint256 row, uint8 from, uint8 to) private {
        bool before = _isRegistrar(identity);
        _identities[identity] = row.withStatus(to);
        address[] storage accounts = _accounts[identity];
        for (uint256 i = 0; i < accounts.length; ++i) {
            Credential storage item = _credentials()[accounts[i]];
            if (item.status == from) item.status = to;
        }
        _recount(identity, row.organisation(), before);
    }

    /// @dev Who counts as a registrar: active, in the role, with a credential that is not revoked.
    function _isRegistrar(bytes16 identity) private view returns (bool) {
        uint256 row = _identities[identity];
        if (row.status() != ACTIVE || row.roles() & REGISTRAR == 0) return false;
        address[] storage accounts = _accounts[identity];
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (_credentials()[accounts[i]].status == ACTIVE) return true;
        }
        return false;
    }

    function _recount(bytes16 identity, uint16 organisation, bool before) private {
        bool now_ = _isRegistrar(identity);
        if (before == now_) return;
        if (now_) {
            ++_registrars[organisation];
            return;
        }
        uint256 remaining = _registrars[organisation] - 1;
        if (remaining < REQUIRED_REGISTRARS) revert TooFewRegistrars(organisation, remaining, REQUIRED_REGISTRARS);
        _registrars[organisation] = remaining;
    }

    function _credentials() private pure returns (mapping(address => Credential) storage credentials) {
        assembly ("memory-safe") {
            credentials.slot := CREDENTIALS
        }
    }
}
