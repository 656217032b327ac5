// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title Where a log leaves its checkpoints, so that a block's time bears witness to them.
/// @notice Whoever deploys it is its owner and the only one who may anchor. Of each log (named by the
/// SHA-256 of its origin) the newest size and root are kept; growing is all that is possible: a
/// smaller size, and another root at the same size, are refused for ever, for the owner as well.
/// Every anchor is an event, and those are the record; nothing can be deleted, upgraded or paused,
/// and no value is accepted.
contract CheckpointAnchor {
    struct Newest {
        bytes32 root;
        uint64 size;
        uint64 blockNumber;
    }

    address public immutable owner;
    mapping(bytes32 originHash => Newest) private _newest;

    /// @notice The log `originHash` had `size` entries with `root` when this block was made.
    event Anchored(bytes32 indexed originHash, uint64 indexed size, bytes32 root);

    error NotTheOwner(address caller);
    error GoesBack(uint64 held, uint64 offered);
    error ChangesRoot(uint64 size, bytes32 held, bytes32 offered);
    error Empty();

    constructor() {
        owner = msg.sender;
    }

    /// @notice Anchor a checkpoint. The one that is held already may be sent again: nothing happens,
    /// so that a sender who lost the answer need not ask first.
    function anchor(bytes32 originHash, uint64 size, bytes32 root) external {
        if (msg.sender != owner) revert NotTheOwner(msg.sender);
        if (size == 0) revert Empty();
        Newest storage held = _newest[originHash];
        if (size < held.size) revert GoesBack(held.size, size);
        if (size == held.size) {
            if (root != held.root) revert ChangesRoot(size, held.root, root);
            return;
        }
        held.root = root;
        held.size = size;
        held.blockNumber = uint64(block.number);
        emit Anchored(originHash, size, root);
    }

    /// @notice The newest anchor of a log, and the block whose time dates it; zeros if there is none.
    function newest(bytes32 originHash)
        external
        view
        returns (uint64 size, bytes32 root, uint64 blockNumber)
    {
        Newest storage held = _newest[originHash];
        return (held.size, held.root, held.blockNumber);
    }
}
