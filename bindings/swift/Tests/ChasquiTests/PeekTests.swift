import Chasqui
import Foundation
import Testing

/// What a notification service extension shows, without taking it.
@Suite struct Peeking {
    @Test func aNotificationShowsWhatWaitsAndTakesNothing() async throws {
        let pair = try await Pair.meet(.nodeReadable)
        try await pair.bo.client.suspend()
        let sent = try await pair.ana.client.sendText("are you there?", to: pair.chat)
        try await pair.ana.client.until(pair.chat, "sent") { $0.first?.state == .sent }
        for _ in 0..<2 {
            let peeked = try await ChasquiClient.peek(pair.bo.config, within: .seconds(20))
            #expect(peeked.messages.map(\.id) == [sent])
            #expect(peeked.messages.first?.senderName == "ana" && peeked.messages.first?.text == "are you there?")
            #expect(peeked.unread == 1 && !peeked.hasMore)
        }
        try await pair.bo.client.resume()
        try await pair.bo.client.gets("are you there?", in: pair.chat)
        try await pair.ana.client.until(pair.chat, "received") { $0.first?.state == .received }
        #expect(try await pair.bo.client.totalUnread() == 1)
        #expect(try await ChasquiClient.peek(pair.bo.config, within: .seconds(20)).messages.isEmpty)
    }

    @Test func whatCannotBePeekedIsRefusedAsSuch() async throws {
        let pair = try await Pair.meet()
        for within in [Duration.zero, .seconds(-5)] {
            let late = await refusal { try await ChasquiClient.peek(pair.bo.config, within: within) }
            #expect(late?.code == "offline")
        }
        var config = pair.bo.config
        config.node = "relay.example.org"
        let address = await refusal { [config] in try await ChasquiClient.peek(config, within: .seconds(20)) }
        #expect(address?.code == "invalid")
        config = pair.bo.config
        config.deviceBinding = Data([1])
        let short = await refusal { [config] in try await ChasquiClient.peek(config, within: .seconds(20)) }
        #expect(short?.code == "invalid")
        let nowhere = try temporaryFolder().appendingPathComponent("nowhere")
        config = Config(folder: nowhere.path, node: pair.node.url)
        await #expect(throws: ChasquiError.notEnrolled) { [config] in
            try await ChasquiClient.peek(config, within: .seconds(20))
        }
        #expect(!FileManager.default.fileExists(atPath: nowhere.path))
    }
}
