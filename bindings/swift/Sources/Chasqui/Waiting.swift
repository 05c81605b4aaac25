import Foundation

/// Waits for `work`, or until the task is cancelled, whichever comes first.
///
/// Who is cancelled gets `CancellationError` at once. What was asked may happen all the same: it is the core's by then, and
/// nothing that the core took is lost.
func untilCancelled<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) async throws -> T {
    try Task.checkCancellation()
    let answer = Answer<T>()
    Task.detached(priority: Task.currentPriority) {
        do {
            answer.resolve(.success(try await work()))
        } catch let error as ChasquiError {
            answer.resolve(.failure(error))
        } catch {
            // A panic in Rust.
            answer.resolve(.failure(ChasquiError.internal(detail: String(describing: error))))
        }
    }
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { answer.await($0) }
    } onCancel: {
        answer.resolve(.failure(CancellationError()))
    }
}

/// Resolved once, awaited once, in either order. The lock makes it sendable.
private final class Answer<T: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var result: Result<T, any Error>?
    private var waiting: CheckedContinuation<T, any Error>?

    func resolve(_ new: Result<T, any Error>) {
        let resumed: CheckedContinuation<T, any Error>? = lock.withLock {
            guard result == nil else { return nil }
            result = new
            defer { waiting = nil }
            return waiting
        }
        resumed?.resume(with: new)
    }

    func await(_ continuation: CheckedContinuation<T, any Error>) {
        let resolved: Result<T, any Error>? = lock.withLock {
            if result == nil { waiting = continuation }
            return result
        }
        if let resolved { continuation.resume(with: resolved) }
    }
}
