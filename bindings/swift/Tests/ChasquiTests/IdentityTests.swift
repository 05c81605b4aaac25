import Chasqui
import Foundation
import Testing

/// Who people are, and what becomes of somebody who lost everything.
@Suite struct Identities {
    @Test func bothSidesCompareTheSameNumber() async throws {
        let pair = try await Pair.meet()
        let (ana, bo) = (pair.ana.client, pair.bo.client)
        let (anaId, boId) = (try await ana.account()!.user, try await bo.account()!.user)
        let (here, there) = (try await ana.safetyNumber(with: boId), try await bo.safetyNumber(with: anaId))
        #expect(here.digits == there.digits)
        #expect(here.digits.split(separator: " ").map(\.count) == Array(repeating: 5, count: 12))
        #expect(here.trust == .unverified && here.changedAt == nil)
        #expect(try await ana.verify(boId, scanned: there.scannable))
        #expect(try await ana.safetyNumber(with: boId).trust == .verified)
        #expect(try await ana.conversation(pair.chat)?.peerTrust == .verified)
        // Of one's own.
        #expect(try await !bo.verify(anaId, scanned: there.scannable))
        #expect(try await bo.safetyNumber(with: anaId).trust == .unverified)
        #expect(await refusal { try await bo.verify(anaId, scanned: "https://example.org") }?.code == "invalid")
        #expect(await refusal { try await bo.safetyNumber(with: boId) }?.code == "invalid")
        try await ana.setVerified(false, for: boId)
        #expect(try await ana.conversation(pair.chat)?.peerTrust == .unverified)
    }

    @Test func aBackupBringsEverythingBackOnANewPhone() async throws {
        let pair = try await Pair.meet()
        let (ana, bo, chat) = (pair.ana.client, pair.bo.client, pair.chat)
        let anaId = try await ana.account()!.user
        try await ana.sendText("before", to: chat)
        try await bo.gets("before", in: chat)
        try await bo.sendText("an answer", to: chat)
        try await ana.gets("an answer", in: chat)
        let number = try await bo.safetyNumber(with: anaId).digits
        let phrase = try ChasquiClient.newRecoveryPhrase()
        let file = try temporaryFolder().appendingPathComponent("ana.backup")
        try await ana.backUp(to: file, phrase: phrase)
        let sealed = try Data(contentsOf: file)
        #expect(sealed.range(of: Data("an answer".utf8)) == nil)
        await #expect(throws: ChasquiError.wrongPhrase) { try await ana.backUp(to: file, phrase: "no phrase") }
        try await ana.close()

        let phone = try await Device.blank(pair.node).client
        let nowhere = try temporaryFolder().appendingPathComponent("nobody.backup")
        await #expect(throws: ChasquiError.notEnrolled) { try await phone.backUp(to: nowhere, phrase: phrase) }
        let other = try ChasquiClient.newRecoveryPhrase()
        await #expect(throws: ChasquiError.wrongPhrase) { try await phone.restore(from: file, phrase: other) }
        #expect(ChasquiError.wrongPhrase.code == "wrong_phrase" && !ChasquiError.wrongPhrase.isRetryable)
        let missing = nowhere.appendingPathExtension("none")
        #expect(await refusal { try await phone.restore(from: missing, phrase: phrase) }?.code == "invalid")
        let cutOff = await refusal { try await phone.restore(from: pieces(sealed.dropLast()), phrase: phrase) }
        #expect(cutOff?.code == "invalid")
        try await phone.restore(from: file, phrase: phrase)
        try await phone.restore(from: pieces(sealed), phrase: phrase)
        #expect(try await phone.texts(chat) == ["before", "an answer"], "before anybody logged in")
        let account = try await phone.login(name: "ana", password: Node.password, deviceName: "new phone")
        #expect(account.isLinked)
        try await phone.sendText("back", to: chat)
        try await bo.gets("back", in: chat)
        // What waits is in no backup.
        try await phone.until(chat, "sent") { $0.contains { $0.text == "back" && $0.state != .pending } }
        #expect(try await bo.safetyNumber(with: anaId).digits == number)
        #expect(try await bo.securityEvents(limit: 10).isEmpty)
        var pages = Data()
        for try await page in try phone.backupPages(phrase: phrase) { pages.append(page) }
        #expect(pages.count > sealed.count)
    }

    @Test func whoHasLostEverythingMakesANewIdentityAndWhoeverVerifiedTheOldOneIsTold() async throws {
        let pair = try await Pair.meet()
        let (ana, bo, chat) = (pair.ana.client, pair.bo.client, pair.chat)
        let (anaId, boId) = (try await ana.account()!.user, try await bo.account()!.user)
        let before = try await ana.safetyNumber(with: boId)
        #expect(try await bo.verify(anaId, scanned: before.scannable))
        try await ana.suspend()
        let phone = try await Device.loggedIn(pair.node, "ana").client
        await #expect(throws: ChasquiError.notLinked) { try await phone.safetyNumber(with: boId) }
        await #expect(throws: ChasquiError.proofNeeded) {
            try await phone.resetIdentity(proof: .password(password: "wrong"))
        }
        try await phone.resetIdentity(proof: .password(password: Node.password))
        #expect(try await phone.account()!.isLinked)
        try await phone.sendText("it is me", to: phone.openDirect(with: boId))
        try await bo.gets("it is me", in: chat)
        let event = try await within("the change") {
            for try await event in try bo.observeSecurityEvents() where event.kind == .identityChanged { return event }
            throw StillWaiting(what: "the change")
        }
        #expect(event.user == anaId && event.conversation == chat)
        #expect(try await bo.securityEvents(after: event.number - 1, limit: 10) == [event])
        #expect(try await bo.conversation(chat)?.peerTrust == .changed)
        let after = try await bo.safetyNumber(with: anaId)
        #expect(after.digits != before.digits && after.changedAt != nil)
        try await bo.sendText("is it?", to: chat)
        try await bo.setVerified(false, for: anaId)
        try await phone.gets("is it?", in: chat)
    }
}

/// As from a network, in pieces that mean nothing.
private func pieces(_ bytes: Data) -> AsyncStream<Data> {
    AsyncStream { pieces in
        var rest = bytes
        while !rest.isEmpty {
            pieces.yield(Data(rest.prefix(1_000)))
            rest = rest.dropFirst(1_000)
        }
        pieces.finish()
    }
}
