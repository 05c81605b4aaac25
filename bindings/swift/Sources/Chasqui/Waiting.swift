import Foundation

/// Does `work`, with the library's errors and no others.
func typed<T>(_ work: () throws -> T) throws -> T {
    do { return try work() } catch { throw shown(error) }
}

/// Does `work`, with the library's errors and no others, but for `CancellationError`.
func typed<T: Sendable>(_ work: @Sendable () async throws -> T) async throws -> T {
    do { return try await work() } catch { throw shown(error) }
}

/// As ``typed(_:)``, and goes on to the end even when the task is cancelled.
func whole<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) async throws -> T {
    try await Task.detached(priority: Task.currentPriority) { try await typed(work) }.value
}

private func shown(_ error: any Error) -> any Error {
    switch error {
    case is ChasquiError, is CancellationError: error
    // What UniFFI throws beside them is a panic in Rust.
    default: ChasquiError.internal(detail: error.localizedDescription)
    }
}

/// What Rust does for a task, so that the task can be cancelled: the generated code is made to use it. The lock keeps what is
/// freed from being cancelled.
final class UnderWay: @unchecked Sendable {
    private let lock = NSLock()
    private var future: UInt64?
    private let cancelFuture: @Sendable (UInt64) -> Void

    init(_ future: UInt64, cancel: @escaping @Sendable (UInt64) -> Void) {
        (self.future, cancelFuture) = (future, cancel)
    }

    /// It will be done or dropped at once.
    func cancel() {
        lock.withLock { if let future { cancelFuture(future) } }
    }

    /// Before it is freed.
    func end() {
        lock.withLock { future = nil }
    }
}
