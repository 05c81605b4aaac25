// swift-tools-version: 6.0
import PackageDescription

// The native library: on Apple's platforms the XCFramework (`cargo xtask package xcframework`); elsewhere, and for whoever
// works on the core, a folder that holds libchasqui_ffi.
#if os(Linux)
let built: String? = Context.environment["CHASQUI_LIBRARY"] ?? "/usr/local/lib"
#else
let built = Context.environment["CHASQUI_LIBRARY"]
#endif

let native: Target
let search: [LinkerSetting]
if let folder = built {
    native = .systemLibrary(name: "ChasquiFFI")
    search = [.unsafeFlags(["-L", folder, "-Xlinker", "-rpath", "-Xlinker", folder])]
} else {
    native = .binaryTarget(name: "ChasquiFFI", path: "ChasquiFFI.xcframework")
    search = [.linkedFramework("CoreFoundation"), .linkedFramework("Security")]
}

let package = Package(
    name: "chasqui",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Chasqui", targets: ["Chasqui"])],
    targets: [
        native,
        .target(
            name: "Chasqui",
            dependencies: ["ChasquiFFI"],
            resources: [.copy("PrivacyInfo.xcprivacy")],
            linkerSettings: search
        ),
        .testTarget(name: "ChasquiTests", dependencies: ["Chasqui"]),
    ],
    swiftLanguageModes: [.v6]
)
