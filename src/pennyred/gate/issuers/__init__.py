"""The post offices whose stamps count, as a gate reaches them: found, asked, and trusted while they are away."""
