package im.chasqui

import java.io.File
import kotlinx.coroutines.runBlocking

/** An app in a process of its own, which has a folder open. */
class Holder private constructor(private val process: Process) : AutoCloseable {
    fun signal(name: String) {
        val sent = ProcessBuilder("kill", "-$name", process.pid().toString()).start().waitFor()
        check(sent == 0) { "the app is gone" }
    }

    override fun close() {
        process.destroyForcibly().waitFor()
    }

    companion object {
        /** Returns when it is online. */
        fun start(folder: File, node: Node): Holder {
            val java = File(System.getProperty("java.home"), "bin/java").path
            val classes = System.getProperty("java.class.path")
            val command = listOf(java, "-cp", classes, "im.chasqui.HolderKt", folder.path, node.url)
            val process = ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
            val said = process.inputStream.bufferedReader().readLine()
            check(said == "online") { "the app did not start: $said" }
            return Holder(process)
        }
    }
}

fun main(arguments: Array<String>): Unit = runBlocking {
    val client = ChasquiClient.open(Config(arguments[0], arguments[1]))
    client.connection.until("online") { it == ConnectionState.Online }
    println("online")
    System.`in`.read()
    client.close()
}
