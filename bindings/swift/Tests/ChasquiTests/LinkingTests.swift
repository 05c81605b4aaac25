import Chasqui
import Foundation
import Testing

/// How a further device of somebody comes to take part in what is encrypted, and what it can do before.
@Suite struct Linking {
    @Test func linkADevice() async throws {
        let pair = try await Pair.meet()
        let (ana, bo, chat) = (pair.ana.client, pair.bo.client, pair.chat)
        try await ana.sendText("before", to: chat)
        try await bo.gets("before", in: chat)
        let laptop = try await Device.loggedIn(pair.node, "ana").client
        #expect(try await ana.account()!.isLinked)
        #expect(try await !laptop.account()!.isLinked)
        let code = try await laptop.beginLinking()
        #expect(code.hasPrefix("chasqui:link:") && code.utf8.allSatisfy { (0x21...0x7e).contains($0) })
        try await within("the link") {
            async let there = laptop.linkingNumber()
            let numbers = [try await ana.linkDevice(code: code), try await there]
            #expect(numbers[0] == numbers[1])
            #expect(numbers[0].utf8.count == 6 && numbers[0].allSatisfy(\.isNumber))
            async let confirmed: Void = laptop.confirmLinking()
            try await ana.confirmLinking()
            try await confirmed
        }
        #expect(try await laptop.account()!.isLinked)
        try await bo.sendText("for both", to: chat)
        for client in [ana, laptop] { try await client.gets("for both", in: chat) }
        #expect(try await laptop.openDirect(with: bo.account()!.user) == chat)
        try await laptop.sendText("from the laptop", to: chat)
        for client in [ana, bo] { try await client.gets("from the laptop", in: chat) }
        try await within("the history") {
            for try await coming in laptop.observeHistoryTransfer() where coming == nil { return }
        }
        #expect(try await laptop.historyTransfer() == nil)
        #expect(try await laptop.texts(chat) == ["before", "for both", "from the laptop"])
        #expect(try await ana.texts(chat) == ["before", "for both", "from the laptop"])
    }

    @Test func aDeviceThatWasNotLinkedSaysSoAndThereAreTwoKindsOfConversations() async throws {
        let pair = try await Pair.meet()
        let (ana, bo) = (pair.ana.client, pair.bo.client)
        let laptop = try await Device.loggedIn(pair.node, "ana").client
        let peer = try await bo.account()!.user
        #expect(try await laptop.openDirect(with: peer) == pair.chat)
        await #expect(throws: ChasquiError.notLinked) { try await laptop.sendText("no", to: pair.chat) }
        #expect(ChasquiError.notLinked.code == "not_linked" && !ChasquiError.notLinked.isRetryable)
        let readable = try await laptop.openDirectAs(.nodeReadable, with: peer)
        #expect(readable != pair.chat)
        try await laptop.sendText("yes", to: readable)
        for client in [ana, bo] { try await client.gets("yes", in: readable) }
        #expect(try await bo.conversation(readable)?.protection == .nodeReadable)
        #expect(try await ana.conversation(pair.chat)?.protection == .endToEnd)
        #expect(try await ana.openDirectAs(.endToEnd, with: peer) == pair.chat)
    }

    @Test func aWrongCodeOrASecondThoughtLinksNobody() async throws {
        let pair = try await Pair.meet()
        let device = try await Device.loggedIn(pair.node, "ana")
        let (ana, laptop) = (pair.ana.client, device.client)
        for wrong in ["", "https://example.org", "chasqui:link:1:AAAA"] {
            let refused = await refusal { try await ana.linkDevice(code: wrong) }
            #expect(refused?.code == "invalid")
        }
        #expect(await refusal { try await ana.beginLinking() }?.code == "invalid")
        #expect(await refusal { try await ana.confirmLinking() }?.code == "invalid")
        let code = try await laptop.beginLinking()
        try await within("the end") {
            async let there = laptop.linkingNumber()
            let numbers = [try await ana.linkDevice(code: code), try await there]
            #expect(numbers[0] == numbers[1])
            async let refused = refusal { try await laptop.confirmLinking() }
            try await ana.cancelLinking()
            #expect(await refused?.code == "linking_failed")
        }
        #expect(try await !laptop.account()!.isLinked)
        try await link(pair.ana, device)
        #expect(try await laptop.account()!.isLinked)
    }

    @Test func whoeverWaitsForTheNumberKeepsNobodyWaitingAndMayStop() async throws {
        let pair = try await Pair.meet()
        let (ana, laptop) = (pair.ana.client, try await Device.loggedIn(pair.node, "ana").client)
        let code = try await laptop.beginLinking()
        let waiting = Task { try await laptop.linkingNumber() }
        #expect(try await laptop.account()?.name == "ana")
        waiting.cancel()
        await #expect(throws: CancellationError.self) {
            try await within("the wait to end") { try await waiting.value }
        }
        try await within("both numbers") {
            async let there = laptop.linkingNumber()
            let numbers = [try await ana.linkDevice(code: code), try await there]
            #expect(numbers[0] == numbers[1])
        }
    }
}
