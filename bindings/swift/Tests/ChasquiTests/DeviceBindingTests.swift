@testable import Chasqui
import Foundation
import Testing

/// As the keychain does: what is there is not replaced, and what cannot be read now is no reason to think that there is nothing.
private final class Items: SecretStore, @unchecked Sendable {
    private let lock = NSLock()
    private var kept: Data?
    /// Called between a look that found nothing and what is done then.
    private let atFirst: @Sendable () -> Void
    var isLocked = false
    private(set) var added = 0

    init(_ kept: Data? = nil, atFirst: @escaping @Sendable () -> Void = {}) {
        (self.kept, self.atFirst) = (kept, atFirst)
    }

    func read() throws -> Data? {
        if isLocked { throw ChasquiError.unavailable(detail: "locked") }
        let kept = lock.withLock { self.kept }
        if kept == nil { atFirst() }
        return kept
    }

    func add(_ secret: Data) throws {
        lock.withLock {
            if kept == nil { kept = secret }
            added += 1
        }
    }
}

/// Lets nobody on before all are there.
private final class Gate: @unchecked Sendable {
    private let condition = NSCondition()
    private var missing: Int

    init(_ count: Int) { missing = count }

    func pass() {
        condition.withLock {
            missing -= 1
            condition.broadcast()
            while missing > 0 { condition.wait() }
        }
    }
}

@Suite struct DeviceBindings {
    @Test func aFolderOpensWithTheBytesAndWithNoOthers() async throws {
        let items = Items()
        let folder = try temporaryFolder().path
        let first = try DeviceBinding.secret(in: items)
        #expect(first.count == 32)
        #expect(try DeviceBinding.secret(in: Items()) != first)
        for binding in [first, try DeviceBinding.secret(in: items)] {
            let config = Config(folder: folder, node: "http://127.0.0.1:1", deviceBinding: binding)
            try await ChasquiClient.open(config).close()
        }
        var other = Config(folder: folder, node: "http://127.0.0.1:1")
        await #expect(throws: ChasquiError.otherDevice) { [other] in try await ChasquiClient.open(other) }
        other.deviceBinding = try DeviceBinding.secret(in: Items())
        await #expect(throws: ChasquiError.otherDevice) { [other] in try await ChasquiClient.open(other) }
        // As on a phone that a backup was restored on.
        other.adoptCopy = true
        try await ChasquiClient.open(other).close()
    }

    @Test func whoAsksAtTheSameTimeGetsTheSame() async throws {
        let gate = Gate(8)
        let items = Items(atFirst: gate.pass)
        let answers = AsyncStream.makeStream(of: Data?.self)
        for _ in 0..<8 {
            // Each waits for the others, which tasks must not.
            Thread { answers.continuation.yield(try? DeviceBinding.secret(in: items)) }.start()
        }
        var given: Set<Data?> = []
        var rest = 8
        for await answer in answers.stream {
            given.insert(answer)
            rest -= 1
            if rest == 0 { break }
        }
        #expect(items.added == 8, "nobody had seen another's")
        let kept = try DeviceBinding.secret(in: items)
        #expect(given == [kept])
    }

    @Test func whatCannotBeReadIsNotReplaced() throws {
        let items = Items()
        let before = try DeviceBinding.secret(in: items)
        items.isLocked = true
        #expect(throws: ChasquiError.unavailable(detail: "locked")) { try DeviceBinding.secret(in: items) }
        #expect(items.added == 1)
        items.isLocked = false
        #expect(try DeviceBinding.secret(in: items) == before)
        #expect(throws: ChasquiError.self) { try DeviceBinding.secret(in: Items(Data(count: 16))) }
    }
}
