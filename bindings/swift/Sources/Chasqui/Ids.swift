import Foundation

/// An id of the protocol: a UUID as text. Text that is none is refused by whatever call gets it, as
/// ``ChasquiError/invalid(detail:)``.
public protocol ChasquiId: Hashable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    /// The UUID, in lower case.
    var value: String { get }
    /// From text that ``value`` gave.
    init(_ value: String)
}

extension ChasquiId {
    public var description: String { value }

    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

/// The app that a node or cluster serves.
public struct RealmId: ChasquiId {
    public let value: String
    public init(_ value: String) { self.value = value }
}

/// A person's account.
public struct UserId: ChasquiId {
    public let value: String
    public init(_ value: String) { self.value = value }
}

/// One installation of the app, with a mailbox and a signing key of its own.
public struct DeviceId: ChasquiId {
    public let value: String
    public init(_ value: String) { self.value = value }
}

/// A direct conversation, a group or a channel.
public struct ConversationId: ChasquiId {
    public let value: String
    public init(_ value: String) { self.value = value }
}

/// A message. Made by the device that sends it.
public struct MessageId: ChasquiId {
    public let value: String
    public init(_ value: String) { self.value = value }

    /// A new one (UUIDv7), for ``ChasquiClient/sendTextAs(_:_:to:)``.
    public static func random() -> MessageId {
        var bytes = UUID().uuid
        let time = UInt64(max(0, Date().timeIntervalSince1970 * 1_000))
        withUnsafeMutableBytes(of: &bytes) { bytes in
            for index in 0..<6 { bytes[index] = UInt8(truncatingIfNeeded: time >> (40 - 8 * index)) }
            bytes[6] = 0x70 | (bytes[6] & 0x0F)
        }
        return MessageId(UUID(uuid: bytes).uuidString.lowercased())
    }
}

/// A place in a timeline; stays valid while messages come and go. Opaque text, for ``ChasquiClient/timeline(_:before:limit:)``.
public struct Cursor: Hashable, Sendable, Codable {
    let value: String
    init(_ value: String) { self.value = value }

    public init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(String.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

/// A message's position in its conversation: the order of the history on every device. Below 2^53.
public struct Seq: Hashable, Comparable, Sendable, Codable {
    /// Positions compare as these numbers do; they are not consecutive.
    public let raw: UInt64
    /// From a number that ``raw`` gave.
    public init(_ raw: UInt64) { self.raw = raw }

    public static func < (left: Self, right: Self) -> Bool { left.raw < right.raw }
}
