// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Acts that need two persons (四眼原则)
/// @notice Two different identities of one organisation send the very same call. The first call only records the
/// request and changes nothing else; the second one, within 7 days, carries it out. `action` is keccak256 of the call data.
interface ICountersigned {
    /// @notice The first person asked for `call`; a second person of `organisation` has to send the same call.
    event CountersignatureRequested(bytes32 indexed action, uint16 indexed organisation, bytes16 indexed by, bytes call);
    /// @notice The second person sent the same call; its effect follows in the same transaction.
    event Countersigned(bytes32 indexed action, uint16 indexed organisation, bytes16 indexed by);
    /// @notice The request was taken back by who made it.
    event CountersignatureWithdrawn(bytes32 indexed action, bytes16 indexed by);

    /// @notice The same identity asked and countersigned.
    error SecondPersonRequired(bytes16 identity);
    /// @notice There is no open request of this identity for the action.
    error RequestUnknown(bytes32 action, bytes16 identity);

    /// @notice Takes back a request that was not countersigned yet.
    function withdrawRequest(bytes32 action) external;
    /// @notice Who asked for an action and when; zero where nothing is open.
    function request(bytes32 action) external view returns (bytes16 by, uint48 requestedAt);
}
