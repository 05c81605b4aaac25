import im.chasqui.ChasquiClient
import im.chasqui.Config
import im.chasqui.use
import java.nio.file.Files
import kotlinx.coroutines.runBlocking

/** Opens a client on a new folder and closes it: the library is in the jar, and so is all that it needs in the POM. */
fun main() = runBlocking {
    val folder = Files.createTempDirectory("chasqui-consumer")
    ChasquiClient.open(Config(folder = folder.toString(), node = "http://127.0.0.1:9")).use { client ->
        check(client.account() == null) { "nobody has logged in here" }
        check(client.conversations(20).isEmpty()) { "nobody has written here" }
    }
    folder.toFile().deleteRecursively()
    println("a client was opened and closed")
}
