// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "chat",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../../../bindings/swift")],
    targets: [
        .executableTarget(name: "Chat", dependencies: [.product(name: "Chasqui", package: "swift")])
    ],
    swiftLanguageModes: [.v6]
)
