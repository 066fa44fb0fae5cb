// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {REGISTRAR, STAFF} from "../access/Constants.sol";
import {Standing} from "../access/Standing.sol";
import {AdmissionStorage} from "./AdmissionStorage.sol";
import {IConsortium} from "./IConsortium.sol";

/// @title The member organisations, and the keys each of them changes by itself
abstract contract Members is AdmissionStorage {
    using Standing for uint256;

    struct Member {
        uint8 kind;
        uint8 status;
        bytes32 encryptionKey;
        bytes32 certificate;
    }

    uint8 internal constant ACTIVE = 1;
    uint8 internal constant SUSPENDED = 2;

    mapping(uint16 => Member) internal _members;
    uint16[] internal _memberIds;

    /// @inheritdoc IConsortium
    function rotateEncryptionKey(bytes32 encryptionKey) external {
        uint256 word = _ownRegistrar();
        Member storage member = _members[word.organisation()];
        if (encryptionKey == 0 || encryptionKey == member.encryptionKey) revert EncryptionKeyInvalid(encryptionKey);
        if (!_countersigned(word)) return;
        emit EncryptionKeyRotated(word.organisation(), member.encryptionKey, encryptionKey);
        member.encryptionKey = encryptionKey;
    }

    /// @inheritdoc IConsortium
    function rotateCertificate(bytes32 certificate) external {
        uint256 word = _ownRegistrar();
        Member storage member = _members[word.organisation()];
        if (certificate == member.certificate) revert CertificateUnchanged(certificate);
        if (!_countersigned(word)) return;
        emit CertificateRotated(word.organisation(), member.certificate, certificate);
        member.certificate = certificate;
    }

    /// @inheritdoc IConsortium
    function organisation(uint16 organisation_)
        external
        view
        returns (uint8 kind, uint8 status, bytes32 encryptionKey, bytes32 certificate)
    {
        Member storage member = _members[organisation_];
        return (member.kind, member.status, member.encryptionKey, member.certificate);
    }

    /// @inheritdoc IConsortium
    function organisations() external view returns (uint16[] memory) {
        return _memberIds;
    }

    function _member(uint16 organisation_) internal view returns (Member storage member) {
        member = _members[organisation_];
        if (member.status == 0) revert OrganisationUnknown(organisation_);
    }

    function _requireActive(uint16 organisation_) internal view {
        if (_member(organisation_).status != ACTIVE) revert OrganisationNotActive(organisation_);
    }

    function _ownRegistrar() private view returns (uint256 word) {
        word = _standing();
        _require(word, STAFF, REGISTRAR);
    }
}
