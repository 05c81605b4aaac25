import Chasqui
import Dispatch
import Foundation
import Testing

/// A sink that can be asked. The lock makes it sendable.
private final class Heard: @unchecked Sendable {
    private let lock = NSLock()
    private var all: [LogRecord] = []

    var records: [LogRecord] { lock.withLock { all } }

    func take(_ record: LogRecord) { lock.withLock { all.append(record) } }

    func until(_ what: String, _ isSo: @escaping @Sendable (LogRecord) -> Bool) async throws {
        try await within(what) {
            while !self.records.contains(where: isSo) { try await Task.sleep(for: .milliseconds(5)) }
        }
    }
}

/// The core's log, as an app gets it.
@Suite(.serialized) struct Logs {
    @Test func recordsHaveALevelARoomAMessageAndFields() async throws {
        defer { ChasquiClient.stopLog() }
        let pair = try await Pair.meet()
        try await pair.ana.client.until(.online)
        let heard = Heard()
        // Of clients that are open already, too.
        ChasquiClient.log(.debug) { heard.take($0) }
        pair.node.stop()
        try await heard.until("offline") { $0.message == "connection" && $0.fields["state"] == "Offline" }
        let state = try #require(heard.records.first { $0.fields["state"] == "Offline" })
        #expect(state.level == .info)
        #expect(state.target == "chasqui::driver::engine_loop")
        #expect(state.text == "connection (state: Offline)")
        #expect(heard.records.allSatisfy { $0.target.hasPrefix("chasqui") })
    }

    @Test func anotherSinkTakesOverAndAfterTheEndNothingIsHeard() async throws {
        let (first, second) = (Heard(), Heard())
        ChasquiClient.log(.info) { first.take($0) }
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        try await first.until("online") { $0.fields["state"] == "Online" }
        for client in [ana, pair.bo.client] { try await client.until(.online) }
        ChasquiClient.log(.error) { second.take($0) }
        try await ana.suspend()
        try await ana.resume()
        try await ana.until(.online)
        #expect(second.records.isEmpty, "it is below the level")
        ChasquiClient.log(.info) { second.take($0) }
        try await ana.suspend()
        try await ana.resume()
        try await second.until("online") { $0.fields["state"] == "Online" }
        try await ana.until(.online)
        ChasquiClient.stopLog()
        ChasquiClient.stopLog()
        let third = Heard()
        ChasquiClient.log(.info) { third.take($0) }
        ChasquiClient.stopLog()
        try await ana.suspend()
        #expect(third.records.isEmpty)
    }

    @Test func aSinkThatBlocksHarmsNobody() async throws {
        defer { ChasquiClient.stopLog() }
        let blocked = DispatchSemaphore(value: 0)
        ChasquiClient.log(.trace) { _ in blocked.wait() }
        let pair = try await Pair.meet()
        try await pair.ana.client.sendText("goes on", to: pair.chat)
        try await pair.bo.client.gets("goes on", in: pair.chat)
        // Whoever comes next does not wait for the one that hangs.
        let heard = Heard()
        ChasquiClient.log(.info) { heard.take($0) }
        try await pair.ana.client.suspend()
        try await pair.ana.client.resume()
        try await heard.until("online") { $0.fields["state"] == "Online" }
        for _ in 0..<1_000 { blocked.signal() }
    }
}
