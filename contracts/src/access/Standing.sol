// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The packed word that says who acts: IdentityRegistry.standing
/// @dev From the low-order end: identity 128 bits, organisation 16, roles 32, domain 8, level 8, organisation kind 8, status 8.
library Standing {
    uint256 internal constant ORGANISATION_SHIFT = 128;
    uint256 internal constant ROLES_SHIFT = 144;
    uint256 internal constant DOMAIN_SHIFT = 176;
    uint256 internal constant LEVEL_SHIFT = 184;
    uint256 internal constant KIND_SHIFT = 192;
    uint256 internal constant STATUS_SHIFT = 200;

    function identity(uint256 word) internal pure returns (bytes16) {
        return bytes16(uint128(word));
    }

    function organisation(uint256 word) internal pure returns (uint16) {
        return uint16(word >> ORGANISATION_SHIFT);
    }

    function roles(uint256 word) internal pure returns (uint32) {
        return uint32(word >> ROLES_SHIFT);
    }

    function domain(uint256 word) internal pure returns (uint8) {
        return uint8(word >> DOMAIN_SHIFT);
    }

    function level(uint256 word) internal pure returns (uint8) {
        return uint8(word >> LEVEL_SHIFT);
    }

    function kind(uint256 word) internal pure returns (uint8) {
        return uint8(word >> KIND_SHIFT);
    }

    function status(uint256 word) internal pure returns (uint8) {
        return uint8(word >> STATUS_SHIFT);
    }

    function pack(bytes16 identity_, uint16 organisation_, uint32 roles_, uint8 domain_, uint8 level_, uint8 kind_, uint8 status_)
        internal
        pure
        returns (uint256)
    {
        return uint256(uint128(identity_)) | uint256(organisation_) << ORGANISATION_SHIFT | uint256(roles_) << ROLES_SHIFT
            | uint256(domain_) << DOMAIN_SHIFT | uint256(level_) << LEVEL_SHIFT | uint256(kind_) << KIND_SHIFT
            | uint256(status_) << STATUS_SHIFT;
    }

    function withRoles(uint256 word, uint32 roles_) internal pure returns (uint256) {
        return (word & ~(uint256(type(uint32).max) << ROLES_SHIFT)) | uint256(roles_) << ROLES_SHIFT;
    }

    function withLevel(uint256 word, uint8 level_) internal pure returns (uint256) {
        return (word & ~(uint256(0xff) << LEVEL_SHIFT)) | uint256(level_) << LEVEL_SHIFT;
    }

    function withStatus(uint256 word, uint8 status_) internal pure returns (uint256) {
        return (word & ~(uint256(0xff) << STATUS_SHIFT)) | uint256(status_) << STATUS_SHIFT;
    }
}
