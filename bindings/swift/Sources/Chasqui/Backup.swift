import Foundation

/// A backup, a page at a time. For one consumer.
public struct BackupPages: AsyncSequence, Sendable {
    public typealias Element = Data
    let native: NativeBackup

    public func makeAsyncIterator() -> Iterator { Iterator(native: native) }

    /// Gives pages until the last.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let native: NativeBackup

        /// The next bytes of the file.
        ///
        /// - Throws: ``ChasquiError/notEnrolled`` in a folder that is nobody's, ``ChasquiError/suspended`` or
        ///   ``ChasquiError/closed``; the same page may be asked for again.
        public mutating func next() async throws -> Data? {
            let native = native
            return try await typed { try await native.next() }
        }
    }
}

extension ChasquiClient {
    /// A new recovery phrase for ``backUp(to:phrase:)``: ten groups of five digits, for people to write down. Who has it reads every
    /// backup that was made with it; without it a backup is of no use to anybody.
    ///
    /// - Throws: ``ChasquiError/internal(detail:)`` when the system has no random numbers.
    public static func newRecoveryPhrase() throws -> String {
        try typed { try nativeNewRecoveryPhrase() }
    }

    /// A backup as pages, for a place of the app's choice. Throws ``ChasquiError/wrongPhrase`` for what is no phrase.
    public func backupPages(phrase: String) throws -> BackupPages {
        BackupPages(native: try typed { try native.backupPages(phrase: phrase) })
    }

    /// Writes a backup of everything that this device holds, sealed by a phrase of ``newRecoveryPhrase()``, into a file, which is
    /// replaced. Memory stays bounded; what arrives meanwhile may be in it or not. What was cut off or changed cannot be taken for a
    /// whole one.
    ///
    /// - Throws: ``ChasquiError/wrongPhrase`` for what is no phrase, ``ChasquiError/notEnrolled`` in a folder that is nobody's,
    ///   ``ChasquiError/storageFull`` and ``ChasquiError/invalid(detail:)`` when it cannot be written.
    public func backUp(to file: URL, phrase: String) async throws {
        try await backupPages(phrase: phrase).write(to: file)
    }

    /// Puts what is in a backup into this folder: one that is new, before or after the user logs in, or one in which the same user's
    /// history is. Restored before the login, the identity is there with the login, and the device takes part in encrypted
    /// conversations at once. Restoring again, or over what is newer, changes nothing that is there.
    ///
    /// What was read of a damaged backup before the damage stays.
    ///
    /// - Throws: ``ChasquiError/wrongPhrase``, ``ChasquiError/invalid(detail:)`` when it cannot be read, is damaged, cut off, no backup, or
    ///   somebody else's; ``ChasquiError/storageFull``.
    public func restore(from file: URL, phrase: String) async throws {
        let handle: FileHandle
        do { handle = try FileHandle(forReadingFrom: file) } catch { throw unreadable(error) }
        defer { try? handle.close() }
        try await restore(phrase: phrase) {
            let piece: Data?
            do { piece = try handle.read(upToCount: readAtOnce) } catch { throw unreadable(error) }
            return piece?.isEmpty == true ? nil : piece
        }
    }

    /// As ``restore(from:phrase:)``, from the bytes of a file that is elsewhere, in order and in whatever pieces.
    public func restore<Pieces: AsyncSequence>(from pieces: Pieces, phrase: String) async throws
    where Pieces.Element == Data {
        var pieces = pieces.makeAsyncIterator()
        try await restore(phrase: phrase) { try await pieces.next() }
    }

    private func restore(phrase: String, _ next: () async throws -> Data?) async throws {
        let restore = try typed { try native.beginRestore(phrase: phrase) }
        while let piece = try await next() {
            try await typed { try await restore.push(bytes: piece) }
        }
        try await typed { try await restore.finish() }
    }
}

/// In bytes.
private let readAtOnce = 64 * 1024

private func unreadable(_ error: any Error) -> ChasquiError {
    .invalid(detail: error.localizedDescription)
}
