import Dispatch
import Foundation
#if canImport(os)
import os
#endif

extension ChasquiClient {
    /// Hands what the SDK logs from now on, of all clients of this process, to `sink`: of `level` and of what is worse.
    ///
    /// ```swift
    /// let logger = Logger(subsystem: "org.example.app", category: "chasqui")
    /// ChasquiClient.log(.info) { logger.log(level: $0.level.osLogType, "\($0.text, privacy: .public)") }
    /// ```
    ///
    /// May be called before or after clients are opened. Another call puts another sink in its place; the one before still gets
    /// what was logged until then. Records come in order, one at a time, on a queue of their own. A sink that takes long delays
    /// nobody but itself: when 1,000 records wait, further ones are dropped, and a record says how many. Nothing that people
    /// wrote is logged, no name, no token and no key.
    public static func log(_ level: LogLevel, to sink: @escaping @Sendable (LogRecord) -> Void) {
        let native = NativeLog(level: level)
        Listening.now.replace(with: native)
        let queue = DispatchQueue(label: "im.chasqui.log", qos: .utility)
        Task.detached(priority: .utility) {
            while let records = try? await native.next() {
                // A sink that blocks must not block a thread that tasks share.
                await withCheckedContinuation { done in
                    queue.async {
                        records.forEach(sink)
                        done.resume()
                    }
                }
            }
        }
    }

    /// Logs nothing any more, which costs nothing.
    public static func stopLog() {
        Listening.now.replace(with: nil)
    }
}

#if canImport(os)
extension LogLevel {
    /// As `os.Logger` names it.
    public var osLogType: OSLogType {
        switch self {
        case .error: .error
        case .warn: .default
        case .info: .info
        case .debug, .trace: .debug
        }
    }
}
#endif

/// Who listens. The lock makes it sendable.
private final class Listening: @unchecked Sendable {
    static let now = Listening()
    private let lock = NSLock()
    private var native: NativeLog?

    func replace(with new: NativeLog?) {
        lock.withLock {
            // Of one that was replaced already, it does nothing.
            native?.stop()
            native = new
        }
    }
}
