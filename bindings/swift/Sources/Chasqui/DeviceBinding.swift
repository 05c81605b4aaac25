import Foundation
#if canImport(Security)
import Security
#endif

/// The 32 bytes of ``Config/deviceBinding``, that the platform keeps:
///
/// ```swift
/// let config = Config(folder: folder.path, node: node, deviceBinding: try await DeviceBinding.fromKeychain())
/// ```
///
/// A folder that was copied or restored without them throws ``ChasquiError/otherDevice``; opened with `adoptCopy` it keeps its history,
/// and logs in as a new device.
public enum DeviceBinding {
    #if canImport(Security)
    /// Random bytes, which the keychain keeps: they are made when they are first asked for, leave the device in no backup, and can be
    /// read from the first unlock after a start on. Asked for at the same time by an app and its extensions, they are the same.
    ///
    /// - Parameters:
    ///   - account: tells the folders of an app apart.
    ///   - accessGroup: for an app whose notification service extension peeks: both name the keychain group that they share. Name it
    ///   from the first day: there is another secret in another group, and a folder of before does not open with it.
    /// - Throws: ``ChasquiError/unavailable(detail:)`` when the keychain does not give them: before the first unlock, or to a Mac app
    ///   without the entitlement of a keychain group. Nothing is made or replaced then.
    public static func fromKeychain(account: String = "chasqui", accessGroup: String? = nil) async throws -> Data {
        try secret(in: Keychain(account: account, accessGroup: accessGroup))
    }

    /// Removes them: whatever is sealed by them is lost. After ``ChasquiClient/wipe()``, what a disk may still hold of the folder is
    /// of no use to anybody then. The keychain keeps them when an app is deleted.
    public static func removeFromKeychain(account: String = "chasqui", accessGroup: String? = nil) async throws {
        try Keychain(account: account, accessGroup: accessGroup).remove()
    }
    #endif

    static func secret(in store: some SecretStore) throws -> Data {
        if let kept = try store.read() { return try whole(kept) }
        var random = SystemRandomNumberGenerator()
        try store.add(Data((0..<size).map { _ in UInt8.random(in: .min ... .max, using: &random) }))
        // Somebody else may have been first.
        guard let kept = try store.read() else { throw ChasquiError.unavailable(detail: "the keychain keeps nothing") }
        return try whole(kept)
    }

    private static let size = 32

    private static func whole(_ kept: Data) throws -> Data {
        guard kept.count == size else {
            throw ChasquiError.invalid(detail: "the keychain's item has \(kept.count) bytes, not \(size)")
        }
        return kept
    }
}

/// Keeps one secret.
protocol SecretStore {
    /// `nil` when there is none, and for no other reason.
    func read() throws -> Data?
    /// Unless there is one: that one stays.
    func add(_ secret: Data) throws
}

#if canImport(Security)
/// An item of the keychain.
struct Keychain: SecretStore {
    let account: String
    let accessGroup: String?

    func read() throws -> Data? {
        var query = item
        query[kSecReturnData] = true
        query[kSecMatchLimit] = kSecMatchLimitOne
        var found: CFTypeRef?
        switch SecItemCopyMatching(query as CFDictionary, &found) {
        case errSecSuccess: return found as? Data ?? Data()
        case errSecItemNotFound: return nil
        case let status: throw failure(status)
        }
    }

    func add(_ secret: Data) throws {
        var attributes = item
        attributes[kSecAttrAccessible] = kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly
        attributes[kSecValueData] = secret
        let status = SecItemAdd(attributes as CFDictionary, nil)
        guard status == errSecSuccess || status == errSecDuplicateItem else { throw failure(status) }
    }

    func remove() throws {
        let status = SecItemDelete(item as CFDictionary)
        guard status == errSecSuccess || status == errSecItemNotFound else { throw failure(status) }
    }

    private var item: [CFString: Any] {
        var item: [CFString: Any] = [
            kSecClass: kSecClassGenericPassword,
            kSecAttrService: "im.chasqui.device-binding",
            kSecAttrAccount: account,
            kSecAttrSynchronizable: false,
            // On a Mac too: the older keychain knows neither groups nor when an item may be read.
            kSecUseDataProtectionKeychain: true,
        ]
        if let accessGroup { item[kSecAttrAccessGroup] = accessGroup }
        return item
    }

    private func failure(_ status: OSStatus) -> ChasquiError {
        let words = SecCopyErrorMessageString(status, nil).map { $0 as String } ?? "no words"
        return .unavailable(detail: "the keychain: \(words) (\(status))")
    }
}
#endif
