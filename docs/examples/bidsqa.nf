// nextflow run bidsqa.nf --bids /data/study --out /data/study-qa -with-apptainer bidsqa.sif
// All tasks write into one folder, which is what bidsqa is made for; the records there are its memory of what is done.
process PARTICIPANT {
    cpus 1
    memory 2.GB
    time 20.min
    errorStrategy { task.exitStatus in 130..255 ? 'retry' : 'ignore' } // 1: a scan failed, and its record says why
    maxRetries 2
    containerOptions "-B ${params.bids} -B ${params.out}"

    input:
    val label

    output:
    val label

    script:
    "bidsqa '${params.bids}' '${params.out}' participant --participant-label ${label} --nprocs 1 --mem-gb 1.8G"
}

process GROUP {
    containerOptions "-B ${params.bids} -B ${params.out}"

    input:
    val labels

    script:
    "bidsqa '${params.bids}' '${params.out}' group"
}

workflow {
    labels = Channel.fromPath("${params.bids}/sub-*", type: 'dir').map { it.name - 'sub-' }
    GROUP(PARTICIPANT(labels).collect())
}
