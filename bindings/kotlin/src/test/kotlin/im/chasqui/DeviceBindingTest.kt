package im.chasqui

import java.io.File
import java.security.KeyStore
import javax.crypto.KeyGenerator
import javax.crypto.Mac
import javax.crypto.SecretKey
import javax.crypto.spec.SecretKeySpec
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

private const val NOWHERE = "http://127.0.0.1:1"
private val SECRET = "the keystore's".toCharArray()

/** Folders that a key of the platform seals. */
class DeviceBindingTest {
    private val temporary = System.getProperty("java.io.tmpdir")

    /** On Android, this is the app's own. */
    @BeforeEach
    fun beAnApp() {
        System.setProperty("java.io.tmpdir", tempFolder().path)
    }

    @AfterEach
    fun remove() {
        System.setProperty("java.io.tmpdir", temporary)
        AndroidKeystore.isOutOfOrder = false
        AndroidKeystore.remove()
    }

    @Test
    fun `a folder opens with the bytes of its key and with no others`() = test {
        AndroidKeystore.install(tempFolder())
        val folder = tempFolder()
        val first = DeviceBinding.fromAndroidKeystore()
        assertEquals(32, first.size)
        ChasquiClient.open(Config(folder.path, NOWHERE, deviceBinding = first)).close()
        val again = Config(folder.path, NOWHERE, deviceBinding = DeviceBinding.fromAndroidKeystore())
        ChasquiClient.open(again).close()

        failure<ChasquiException.OtherDevice> { ChasquiClient.open(Config(folder.path, NOWHERE)) }
        for (other in listOf(
            DeviceBinding.fromAndroidKeystore("bo"),
            DeviceBinding.fromAndroidKeystore(alias = "another"),
        )) {
            failure<ChasquiException.OtherDevice> { ChasquiClient.open(again.copy(deviceBinding = other)) }
        }
        ChasquiClient.open(again).close()
    }

    @Test
    fun `on another phone the folder is a copy, which the app may adopt`() = test {
        val folder = tempFolder()
        AndroidKeystore.install(tempFolder())
        val config = Config(folder.path, NOWHERE, deviceBinding = DeviceBinding.fromAndroidKeystore())
        ChasquiClient.open(config).close()
        AndroidKeystore.remove()
        AndroidKeystore.install(tempFolder())
        val restored = config.copy(deviceBinding = DeviceBinding.fromAndroidKeystore())
        failure<ChasquiException.OtherDevice> { ChasquiClient.open(restored) }
        ChasquiClient.open(restored.copy(adoptCopy = true)).close()
        ChasquiClient.open(restored).close()
    }

    @Test
    fun `a keystore that does not answer loses no key`() = test {
        AndroidKeystore.install(tempFolder())
        val before = DeviceBinding.fromAndroidKeystore()
        AndroidKeystore.isOutOfOrder = true
        val refused = failure<ChasquiException.Unavailable> { DeviceBinding.fromAndroidKeystore() }
        assertTrue(refused.isRetryable)
        assertTrue("no answer" in refused.message, refused.message)
        failure<ChasquiException.Unavailable> { DeviceBinding.fromAndroidKeystore(alias = "another") }
        AndroidKeystore.isOutOfOrder = false
        assertArrayEquals(before, DeviceBinding.fromAndroidKeystore())
    }

    @Test
    fun `a removed key is made anew`() = test {
        AndroidKeystore.install(tempFolder())
        val before = DeviceBinding.fromAndroidKeystore()
        DeviceBinding.removeFromAndroidKeystore()
        assertFalse(AndroidKeystore.file("chasqui").exists())
        DeviceBinding.removeFromAndroidKeystore()
        assertFalse(before.contentEquals(DeviceBinding.fromAndroidKeystore()))
    }

    @Test
    fun `calls at the same time get the same bytes`() = test {
        AndroidKeystore.install(tempFolder())
        repeat(20) { round ->
            val asked = coroutineScope {
                List(8) { async(Dispatchers.IO) { DeviceBinding.fromAndroidKeystore(alias = "round-$round") } }.awaitAll()
            }
            assertEquals(1, asked.map { it.toList() }.distinct().size)
        }
    }

    @Test
    fun `processes at the same time get the same bytes`() = test {
        val keys = tempFolder()
        val processes = List(3) { Asker.start(keys) }
        try {
            val says = processes.map { it.inputStream.bufferedReader() }
            val hears = processes.map { it.outputStream.bufferedWriter() }
            for (said in says) assertEquals("ready", said.readLine())
            repeat(50) { round ->
                for (heard in hears) heard.apply { write("round-$round\n") }.flush()
                val bytes = says.map { it.readLine() }
                assertEquals(64, bytes[0].length)
                assertEquals(1, bytes.distinct().size, "$bytes")
            }
        } finally {
            processes.forEach { it.destroyForcibly().waitFor() }
        }
    }

    @Test
    fun `anywhere else the keystore is the app's`() = test {
        val refused = failure<ChasquiException.Invalid> { DeviceBinding.fromAndroidKeystore() }
        assertTrue("DeviceBinding.from" in refused.message, refused.message)
        failure<ChasquiException.Invalid> { DeviceBinding.removeFromAndroidKeystore() }

        val file = File(tempFolder(), "keys.p12")
        val made = KeyStore.getInstance("PKCS12").apply { load(null, SECRET) }
        val key = KeyGenerator.getInstance("HmacSHA256").apply { init(256) }.generateKey()
        made.put("chasqui", key)
        made.put("short", SecretKeySpec(ByteArray(16) { 7 }, "HmacSHA256"))
        file.outputStream().use { made.store(it, SECRET) }

        val keyStore = KeyStore.getInstance("PKCS12").apply { file.inputStream().use { load(it, SECRET) } }
        val bytes = DeviceBinding.from(keyStore, "chasqui", SECRET)
        // What is sealed by it stays sealed by it, whatever version of the SDK comes.
        val hmac = Mac.getInstance("HmacSHA256").apply { init(key) }
        assertArrayEquals(hmac.doFinal("chasqui/v1/keystore/".toByteArray()), bytes)
        assertArrayEquals(bytes, DeviceBinding.from(made, "chasqui", SECRET))
        assertFalse(bytes.contentEquals(DeviceBinding.from(keyStore, "chasqui", SECRET, "bo")))
        val folder = tempFolder()
        repeat(2) { ChasquiClient.open(Config(folder.path, NOWHERE, deviceBinding = bytes)).close() }

        val missing = failure<ChasquiException.NotFound> { DeviceBinding.from(keyStore, "another", SECRET) }
        assertEquals("key", missing.what)
        failure<ChasquiException.Invalid> { DeviceBinding.from(keyStore, "chasqui", "wrong".toCharArray()) }
        failure<ChasquiException.Invalid> { DeviceBinding.from(keyStore, "short", SECRET) }
        failure<ChasquiException.Invalid> { DeviceBinding.from(KeyStore.getInstance("PKCS12"), "chasqui", SECRET) }
    }

    private fun KeyStore.put(alias: String, key: SecretKey) {
        setEntry(alias, KeyStore.SecretKeyEntry(key), KeyStore.PasswordProtection(SECRET))
    }
}
