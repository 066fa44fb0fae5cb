// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What every system contract may answer when the caller may not do what it asks
/// @notice Identities are compared, never senders: an account is only a credential of an identity.
interface IAccess {
    /// @notice The account has no active credential of an active identity of an active organisation.
    error NoStanding(address account);
    /// @notice None of the roles required (a bit mask) is held.
    error RoleMissing(uint32 got, uint32 required);
    /// @notice The caller's identity is of another domain (1 staff, 2 sharing, 3 service).
    error WrongDomain(uint8 got, uint8 expected);
    /// @notice The caller's organisation is of another kind than the mask of kinds (bit k = kind k) allows.
    error WrongOrganisationKind(uint8 got, uint256 expectedKinds);
    /// @notice The caller belongs to another organisation.
    error WrongOrganisation(uint16 got, uint16 expected);
    /// @notice Only this system address may call.
    error WrongCaller(address got, address expected);
    /// @notice `deputy` holds no deputyship of `principal` that is in force.
    error NotDeputy(bytes16 deputy, bytes16 principal);
}
