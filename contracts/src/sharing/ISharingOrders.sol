// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccess} from "../access/IAccess.sol";

/// @title SharingOrders: one resident does another a service for points
/// @notice States: 1 已发布 published, 2 已接单 accepted, 3 已确认 confirmed (points in escrow), 4 服务中 in service, 5 待确认 finished,
/// 6 已完成 completed, 7 已评价 rated, 8 取消 cancelled, 9 爽约 no-show, 10 争议 disputed, 11 已仲裁 arbitrated.
/// Ids are random, everything descriptive is inside the commitment.
interface ISharingOrders is IAccess {
    /// @notice Hours are quarter hours; percents go to the provider, the rest back to the requester.
    struct Parameters {
        /// seconds after finish when the order counts as confirmed
        uint32 autoCompleteAfter;
        /// seconds after the agreed start when a missing party counts as a no-show
        uint32 noShowAfter;
        /// most points of one order
        uint32 maxAmount;
        /// provider's share when the requester cancels after the provider checked in
        uint8 lateCancelPercent;
        /// provider's share when the requester does not come
        uint8 noShowPercent;
    }

    event OrderPublished(
        bytes32 indexed order, bytes16 indexed by, uint16 indexed kind, bool offer, uint16 units, uint32 amount, uint48 startAt, bytes32 commitment
    );
    event OrderAccepted(bytes32 indexed order, bytes16 indexed by);
    event OrderConfirmed(bytes32 indexed order, bytes16 indexed requester, bytes16 indexed provider, uint32 amount);
    event CheckedIn(bytes32 indexed order, bytes16 indexed by, bytes32 place);
    event ServiceStarted(bytes32 indexed order);
    event ServiceFinished(bytes32 indexed order, bytes16 indexed by);
    /// @notice automatic: confirmed by time, not by the requester.
    event OrderCompleted(bytes32 indexed order, bytes16 indexed requester, bytes16 indexed provider, uint32 paid, bool automatic);
    event OrderRated(bytes32 indexed order, bytes16 indexed by, uint8 stars, bytes32 commitment);
    event OrderCancelled(bytes32 indexed order, bytes16 indexed by, uint8 previousState, uint32 paid, uint32 refunded);
    event NoShowRecorded(bytes32 indexed order, bytes16 indexed by, bytes16 indexed absent, uint32 paid, uint32 refunded);
    event OrderDisputed(bytes32 indexed order, bytes16 indexed by, bytes32 reason);
    event OrderArbitrated(bytes32 indexed order, bytes16 indexed by, uint8 percent, uint32 paid, uint32 refunded, bytes32 reason);
    event KindWeightSet(uint16 indexed kind, uint16 weight);
    event ParametersSet(Parameters parameters);

    error OrderIdInvalid(bytes32 order);
    error OrderExists(bytes32 order);
    error OrderUnknown(bytes32 order);
    error OrderState(bytes32 order, uint8 got, uint8 expected);
    error KindUnknown(uint16 kind);
    error AmountInvalid(uint256 got, uint256 maximum);
    error OwnOrder(bytes16 identity);
    /// @notice The caller is not the party this step belongs to.
    error NotParty(bytes32 order, bytes16 identity);
    error AlreadyCheckedIn(bytes32 order, bytes16 identity);
    error AlreadyRated(bytes32 order, bytes16 identity);
    error StarsInvalid(uint8 got);
    error PercentInvalid(uint8 got);
    error TooEarly(bytes32 order, uint48 got, uint48 earliest);
    error NotCheckedIn(bytes32 order, bytes16 identity);
    error WeightInvalid(uint16 kind, uint16 weight);

    /// @notice A resident publishes a need (offer = false: the publisher asks and pays) or an offer (the publisher serves).
    /// @param units quarter hours, or items; amount = units * weight / 100, rounded half up.
    function publish(bytes32 order, bool offer, uint16 kind, uint16 units, uint48 startAt, bytes32 commitment) external;
    /// @notice Another resident takes the other side.
    function accept(bytes32 order) external;
    /// @notice The requester confirms; the points go into escrow.
    function confirm(bytes32 order) external;
    /// @notice Each side checks in on the spot; the second check-in starts the service. `place` is a commitment.
    function checkIn(bytes32 order, bytes32 place) external;
    /// @notice The provider says the service is done.
    function finish(bytes32 order) external;
    /// @notice The requester agrees; the provider is paid.
    function complete(bytes32 order) external;
    /// @notice Each side may rate once, 1–5.
    function rate(bytes32 order, uint8 stars, bytes32 commitment) external;
    /// @notice Either side cancels before the service starts; before acceptance only the publisher.
    function cancel(bytes32 order) external;
    /// @notice The side that checked in records that the other did not come.
    function noShow(bytes32 order) external;
    /// @notice Either side disputes a confirmed, running or finished order.
    function dispute(bytes32 order, bytes32 reason) external;
    /// @notice A community clerk ends a dispute: `percent` of the points to the provider, the rest back.
    function arbitrate(bytes32 order, uint8 percent, bytes32 reason) external;
    /// @notice A party or a service completes an order the requester did not answer in time.
    function poke(bytes32 order) external;

    /// @notice By vote on points, or at genesis: weight in hundredths (100 = 1 point a unit); 0 closes the kind.
    function setKindWeight(uint16 kind, uint16 weight) external;
    /// @notice By vote on points, or at genesis.
    function setParameters(Parameters calldata parameters_) external;

    function orderOf(bytes32 order)
        external
        view
        returns (
            uint8 state, uint16 kind, uint16 units, uint32 amount, uint48 startAt, uint48 changedAt, bytes16 requester, bytes16 provider,
            bool requesterIn, bool providerIn
        );
    function kindWeight(uint16 kind) external view returns (uint16);
    function parameters() external view returns (Parameters memory);
}
