import Foundation

/// News of a watched list, as an `AsyncSequence`: `Update` says what changed, ``lists`` is the list as it is.
///
/// ```swift
/// for try await lines in client.observeConversations(limit: 20).lists {
///     show(lines)
/// }
/// ```
///
/// For one consumer at a time. It ends when its task is cancelled, when ``cancel()`` is called, and when the app closes the
/// client; it throws ``ChasquiError`` when it cannot go on, and waits while the client is suspended. Whoever leaves the loop and
/// keeps the observer may go on later: what happened meanwhile comes as the next update.
public final class ListObserver<Update: Sendable, Item: Sendable>: AsyncSequence, Sendable {
    public typealias Element = Update

    private let native: any NativeListObserver<Update, Item>

    init(_ native: any NativeListObserver<Update, Item>) {
        self.native = native
    }

    /// The whole list: now, and whenever it changed.
    public var lists: Lists { Lists(observer: self) }

    /// Shows this many lines from the next update on, also while somebody waits for it: for a list that is scrolled.
    public func setLimit(_ limit: Int) throws {
        try typed { try native.setLimit(limit: limit) }
    }

    /// Ends it, and frees what it holds. Again, it changes nothing.
    public func cancel() {
        native.cancel()
    }

    public func makeAsyncIterator() -> Iterator { Iterator(observer: self) }

    fileprivate func next() async throws -> Update? {
        let native = native
        do {
            return try await typed { try await native.next() }
        } catch is CancellationError {
            native.cancel()
            return nil
        }
    }

    fileprivate func window() throws -> [Item] { try typed { try native.window() } }

    /// Gives updates until the observer ends.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let observer: ListObserver

        /// Waits for what changed since the last one; the first is a reset.
        public mutating func next() async throws -> Update? { try await observer.next() }
    }

    /// The whole list whenever it changed.
    public struct Lists: AsyncSequence, Sendable {
        public typealias Element = [Item]
        let observer: ListObserver

        public func makeAsyncIterator() -> Iterator { Iterator(observer: observer) }

        /// Gives lists until the observer ends.
        public struct Iterator: AsyncIteratorProtocol, Sendable {
            let observer: ListObserver

            /// Waits until the list is another than before.
            public mutating func next() async throws -> [Item]? {
                try await observer.next() == nil ? nil : try observer.window()
            }
        }
    }
}

/// The newest lines of a timeline.
public typealias TimelineObserver = ListObserver<TimelineUpdate, TimelineItem>
/// The conversations with the latest activity.
public typealias ConversationsObserver = ListObserver<ConversationsUpdate, ConversationSummary>

/// News one by one: of the connection, of a transfer and of who is typing, how it is now and then each change; of salvages and security events, each that
/// was not shown yet.
///
/// It ends as a ``ListObserver`` does.
public final class NewsObserver<News: Sendable>: AsyncSequence, Sendable {
    public typealias Element = News

    private let native: any NativeNewsObserver<News>

    init(_ native: any NativeNewsObserver<News>) {
        self.native = native
    }

    /// Ends it, and frees what it holds. Again, it changes nothing.
    public func cancel() {
        native.cancel()
    }

    public func makeAsyncIterator() -> Iterator { Iterator(observer: self) }

    fileprivate func next() async throws -> News? {
        let native = native
        do {
            return try await typed { try await native.next() }
        } catch is CancellationError {
            native.cancel()
            return nil
        }
    }

    /// Gives news until the observer ends.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let observer: NewsObserver

        /// Waits for the next news.
        public mutating func next() async throws -> News? { try await observer.next() }
    }
}

/// The connection's states.
public typealias ConnectionObserver = NewsObserver<ConnectionState>
/// Reports of damage.
public typealias SalvageObserver = NewsObserver<Salvage>
/// What was noticed about identities.
public typealias SecurityObserver = NewsObserver<SecurityEvent>
/// How far the history of another device has come; `nil` while none is on its way.
public typealias TransferObserver = NewsObserver<HistoryTransfer?>
/// Everybody else who is writing.
public typealias TypingObserver = NewsObserver<[Typing]>

protocol NativeListObserver<Update, Item>: Sendable {
    associatedtype Update: Sendable
    associatedtype Item: Sendable
    func next() async throws -> Update?
    func window() throws -> [Item]
    func setLimit(limit: Int) throws
    func cancel()
}

protocol NativeNewsObserver<News>: Sendable {
    associatedtype News: Sendable
    func next() async throws -> News?
    func cancel()
}

extension NativeTimelineObserver: NativeListObserver {}
extension NativeConversationsObserver: NativeListObserver {}
extension NativeConnectionObserver: NativeNewsObserver {}
extension NativeSalvageObserver: NativeNewsObserver {}
extension NativeSecurityObserver: NativeNewsObserver {}
extension NativeTypingObserver: NativeNewsObserver {}

/// What comes as a list of at most one.
struct NativeTransfers: NativeNewsObserver {
    let native: NativeTransferObserver

    func next() async throws -> HistoryTransfer?? { try await native.next().map(\.first) }

    func cancel() { native.cancel() }
}

extension TimelineUpdate {
    /// Brings a list that all updates before were applied to up to date.
    public func apply(to lines: inout [TimelineItem]) {
        switch self {
        case .reset(let items): lines = items
        case .changes(let changes):
            for change in changes {
                switch change {
                case .insert(let index, let item): lines.insert(item, at: index)
                case .update(let index, let item): lines[index] = item
                case .remove(let index): lines.remove(at: index)
                }
            }
        }
    }
}

extension ConversationsUpdate {
    /// Brings a list that all updates before were applied to up to date.
    public func apply(to lines: inout [ConversationSummary]) {
        switch self {
        case .reset(let items): lines = items
        case .changes(let changes):
            for change in changes {
                switch change {
                case .insert(let index, let item): lines.insert(item, at: index)
                case .update(let index, let item): lines[index] = item
                case .remove(let index): lines.remove(at: index)
                }
            }
        }
    }
}

// For `List` and `ForEach`.

extension Message: Identifiable {}
extension ConversationSummary: Identifiable {}
extension PeekedMessage: Identifiable {}

extension DeviceInfo: Identifiable {
    /// The device.
    public var id: DeviceId { device }
}

extension UserInfo: Identifiable {
    /// The user.
    public var id: UserId { user }
}

extension TimelineItem: Identifiable {
    /// Names the line in its timeline, as long as it is there.
    public var id: String {
        switch self {
        case .message(let message): message.id.value
        case .gap(_, let seq): "gap \(seq.raw)"
        case .hole(_, let first, _, _): "hole \(first.raw)"
        }
    }
}
