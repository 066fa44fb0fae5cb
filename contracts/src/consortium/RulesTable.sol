// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AdmissionStorage} from "./AdmissionStorage.sol";
import {IConsortium} from "./IConsortium.sol";

/// @title The rules of the chain by height: fork, gas, limits
abstract contract RulesTable is AdmissionStorage {
    uint8 internal constant CANCUN = 1;

    uint256 private _rulesVersion;

    /// @inheritdoc IConsortium
    function addRules(Rules calldata row) external governed {
        uint256 version = _rulesVersion + 1;
        _checkRules(row, version);
        _rulesVersion = version;
        _admission().rules[version] = row;
        emit RulesAdded(version, row);
    }

    /// @inheritdoc IConsortium
    function rules(uint256 version) external view returns (Rules memory) {
        return _admission().rules[version];
    }

    /// @inheritdoc IConsortium
    function rulesVersion() external view returns (uint256) {
        return _rulesVersion;
    }

    /// @dev Refuses a row under which nobody could send a governing transaction any more.
    function _checkRules(Rules calldata row, uint256 version) private view {
        // A row that waits holds back all later ones: none waits for a height that no chain reaches.
        if (version == 1 ? row.activationHeight != 0 : row.activationHeight <= block.number || row.activationHeight > 1 << 40) {
            revert RulesInvalid(0, row.activationHeight);
        }
        if (row.blockGas < row.transactionGas || row.blockGas > 1 << 40) revert RulesInvalid(1, row.blockGas);
        if (row.transactionGas < 5_000_000) revert RulesInvalid(2, row.transactionGas);
        if (row.correctionGas > row.blockGas - row.transactionGas) revert RulesInvalid(3, row.correctionGas);
        if (row.identityGas < row.transactionGas) revert RulesInvalid(4, row.identityGas);
        if (row.maxTransactionBytes < 16_384 || row.maxTransactionBytes > 1 << 20) revert RulesInvalid(5, row.maxTransactionBytes);
        if (row.byteGas == 0 || row.byteGas > 100) revert RulesInvalid(6, row.byteGas);
        if (row.baseGas == 0 || row.baseGas > 1_000_000) revert RulesInvalid(7, row.baseGas);
        if (row.maxCalls == 0 || row.maxCalls > 1_000) revert RulesInvalid(8, row.maxCalls);
        if (row.maxValidity < 300 || row.maxValidity > 7 days) revert RulesInvalid(9, row.maxValidity);
        if (row.fork != CANCUN) revert RulesInvalid(10, row.fork);
        // Scheme gas 0 turns a scheme off: WebAuthn and one scheme without an authenticator stay on.
        if (row.schemeGas[1] == 0 || row.schemeGas[2] | row.schemeGas[3] | row.schemeGas[4] == 0) revert RulesInvalid(11, 0);
        for (uint256 i = 0; i < 8; ++i) {
            if (row.schemeGas[i] > 1_000_000) revert RulesInvalid(11, row.schemeGas[i]);
        }
    }
}
